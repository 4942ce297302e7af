"""Configuration: strict YAML with positions, `extends`, overrides, validation, provenance, lint, schema.

Importing this package imports neither torch nor numpy.
"""

from diffloom.config.document import Document
from diffloom.config.lint import lint
from diffloom.config.load import Resolved, load, parse
from diffloom.config.plain import digest, to_yaml

__all__ = ["Document", "Resolved", "digest", "lint", "load", "parse", "to_yaml"]
