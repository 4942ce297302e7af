"""Weights that open_clip publishes, by their tags."""

from __future__ import annotations

from pathlib import Path

from diffloom.errors import CheckpointError
from diffloom_clip.library import open_clip


def downloaded(name: str, tag: str, *, quick_gelu: bool) -> str:
    """The file of an architecture's weights, downloaded by open_clip unless it was before.

    What is no tag of open_clip's for this architecture is given back as it is; write `./openai` for a file of such a
    name. Raises CheckpointError when the weights are of another activation, or cannot be had.
    """
    library = open_clip()
    if not library.is_pretrained_cfg(name, tag):
        _refuse_unknown_tag(name, tag, library.list_pretrained_tags_by_model(name))
        return tag
    published = library.get_pretrained_cfg(name, tag)
    quick = published.get("quick_gelu", False)
    if quick != quick_gelu:
        other = f"{name}-quickgelu" if quick else name.removesuffix("-quickgelu")
        raise CheckpointError(
            f"{name} {tag}: these weights were trained with {'quick-GELU' if quick else 'GELU'}; "
            f"set `architecture: {other}`"
        )
    try:
        return str(library.download_pretrained(published))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{name} {tag}: open_clip could not download it: {error}") from error


def _refuse_unknown_tag(name: str, word: str, known: list[str]) -> None:
    """A single word that is no file was meant as a tag."""
    if word.isidentifier() and not Path(word).exists():
        told = f"it has {', '.join(known)}" if known else "it has none"
        raise CheckpointError(
            f"open_clip has no weights {word!r} for {name} ({told}), and there is no such file"
        )
