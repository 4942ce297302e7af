"""Configuration: strict YAML with positions, `extends`, overrides, validation, provenance, lint, schema.

Importing this package imports neither torch nor numpy.
"""

from diffloom.config.autoencoder import AutoencoderDocument
from diffloom.config.choice import AnyDocument, require_diffusion
from diffloom.config.document import Document
from diffloom.config.lint import lint
from diffloom.config.load import Resolved, load, parse
from diffloom.config.plain import digest, to_yaml

__all__ = [
    "AnyDocument",
    "AutoencoderDocument",
    "Document",
    "Resolved",
    "digest",
    "lint",
    "load",
    "parse",
    "require_diffusion",
    "to_yaml",
]
