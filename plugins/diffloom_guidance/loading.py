"""The weaker model of autoguidance, read once however many batches are drawn."""

from __future__ import annotations

from functools import lru_cache

from diffloom import Pipeline, load


@lru_cache(maxsize=1)
def weaker_model(source: str) -> Pipeline:
    """The model, which stays in memory until another one is asked for."""
    return load(source, device="cpu")
