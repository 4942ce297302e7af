"""Which of the two sorts of file a tree is: with `autoencoder:` it trains the space, else a diffusion model in one."""

from __future__ import annotations

from typing import TypeAlias

from diffloom.config.autoencoder import AutoencoderDocument
from diffloom.config.document import Document
from diffloom.config.fields import Group, group
from diffloom.config.node import Branch, Findings
from diffloom.errors import ConfigError, Problem

AnyDocument: TypeAlias = Document | AutoencoderDocument
KEY = "autoencoder"
"""The key that decides."""
DIFFUSION_KEYS = Document.model_fields.keys() - AutoencoderDocument.model_fields.keys()
"""What only a diffusion model has."""
_DIFFUSION, _AUTOENCODER = group(Document), group(AutoencoderDocument)


def whole(*roots: Branch) -> Group:
    """The slot of a whole file, or of several that are laid over each other."""
    return _AUTOENCODER if any(KEY in root.entries for root in roots) else _DIFFUSION


def without_contradiction(root: Branch, findings: Findings) -> Branch:
    """The tree of a file that describes one thing; for keys of both sorts there is one finding, and the rest goes on
    as an autoencoder's."""
    contradicting = [key for key in root.entries if key in DIFFUSION_KEYS]
    if KEY not in root.entries or not contradicting:
        return root
    named = ", ".join(f"`{key}:`" for key in contradicting)
    findings.add(
        root.entries[KEY].key_place,
        KEY,
        f"a file trains an autoencoder or a diffusion model, and {named} belong{'s' * (len(contradicting) == 1)} to "
        "the latter; put them into two files: the diffusion model's names the trained autoencoder as its `space:`",
    )
    return Branch(
        {key: entry for key, entry in root.entries.items() if key not in DIFFUSION_KEYS}, root.place
    )


def require_diffusion(document: AnyDocument, *, place: str) -> Document:
    """The document as a diffusion model's. Raises ConfigError for an autoencoder's; `place` is where it came from."""
    if isinstance(document, Document):
        return document
    raise ConfigError(
        [
            Problem(
                place,
                "is an autoencoder by itself, with no diffusion model to build or sample; "
                "diffloom.load_component gives its network, and a diffusion model's `space:` may name it",
            )
        ]
    )
