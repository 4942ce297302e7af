"""`hf://owner/name[@revision][/folder or file]` → a path on this disk, through huggingface_hub and its cache."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from diffloom.checkpoint.stored import PICKLE_SUFFIXES
from diffloom.errors import CheckpointError

SCHEME = "hf://"
ADDRESS = re.compile(r"hf://(?P<repository>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?(/(?P<inside>.+?))?/?")
STEMS = ("diffusion_pytorch_model", "model", "pytorch_model", "open_clip_model", "open_clip_pytorch_model")
"""File names, before their suffix, under which diffusers, transformers and open_clip keep weights."""
TEXTS = ("*.json", "*.txt")
OTHERS = ("safety_checker/*", "feature_extractor/*", "*/safety_checker/*", "*/feature_extractor/*")
"""Folders of a pipeline that no part of ours is made from."""


class Address(NamedTuple):
    """What an `hf://` name means."""

    repository: str
    revision: str | None
    inside: str | None
    """A folder or a file in it; None is the whole repository."""


def parse_address(source: str) -> Address:
    """Raises CheckpointError for a name that is no address."""
    match = ADDRESS.fullmatch(source)
    if match is None:
        raise CheckpointError(
            f"{source}: expected hf://owner/name, hf://owner/name@revision/folder, or a file in it"
        )
    return Address(match["repository"], match["revision"], match["inside"])


def fetch(source: str, *, pickle: bool, assume: Mapping[str, str]) -> Path:
    """Download what `source` names, unless the cache has it, and only what a model is made from.

    Half-precision variants are left out unless `assume` has `variant`. Raises CheckpointError, in one line, when the
    hub does not have it or cannot be reached.
    """
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    address = parse_address(source)
    inside = PurePosixPath(address.inside or "")
    try:
        if inside.suffix in PICKLE_SUFFIXES | {".safetensors"}:
            return Path(hf_hub_download(address.repository, str(inside), revision=address.revision))
        folder = snapshot_download(
            address.repository,
            revision=address.revision,
            allow_patterns=wanted(address.inside, pickle=pickle, variant=assume.get("variant")),
            ignore_patterns=list(OTHERS),
        )
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{source}: is not in the local cache, and the hub cannot be reached; connect, or name a local folder"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise CheckpointError(f"{source}: the hub does not give it: {lines[0]}") from error
    path = Path(folder) / inside
    if not path.exists():
        raise CheckpointError(f"{source}: the repository has no {inside}; check the name")
    return path


def wanted(inside: str | None, *, pickle: bool, variant: str | None) -> list[str]:
    """The patterns of the files that a model is made from, in the repository or a folder of it."""
    suffixes = ("safetensors", "bin") if pickle else ("safetensors",)
    mark = f".{variant}" if variant else ""
    names = [
        pattern
        for stem in STEMS
        for suffix in suffixes
        for pattern in (f"{stem}{mark}.{suffix}", f"{stem}{mark}-0*-of-*.{suffix}")
    ]
    base = f"{inside.rstrip('/')}/" if inside else ""
    return [f"{base}{depth}{name}" for name in (*names, *TEXTS) for depth in ("", "*/")]
