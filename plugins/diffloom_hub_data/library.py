"""Hugging Face's `datasets`, imported where it is used: it takes a second, and is an extra."""

from __future__ import annotations

from typing import Any

from diffloom.errors import DataError


def datasets() -> Any:
    """The library. Raises DataError, naming the command, where it is not installed."""
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "data: hugging_face reads with the library `datasets`, which is not installed: "
            "`pip install 'diffloom[datasets]'`"
        ) from error
    return datasets
