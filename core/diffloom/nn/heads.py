"""How many heads an attention has, said by their number or by their width."""

from __future__ import annotations


def head_count(*, channels: int, heads: int | None, head_channels: int | None) -> int:
    """The number of heads that share `channels`: `heads` of them, or of `head_channels` each; one if neither is said.

    Raises ValueError when both are said, and when the heads do not fill the channels.
    """
    if heads is not None and head_channels is not None:
        raise ValueError(
            f"heads {heads} is a number and head_channels {head_channels} a width of the same heads; give one"
        )
    if head_channels is not None:
        if channels % head_channels:
            raise ValueError(f"{channels} channels cannot be split into heads of {head_channels} channels")
        return channels // head_channels
    if channels % (heads or 1):
        raise ValueError(f"{channels} channels cannot be split into {heads} heads")
    return heads or 1
