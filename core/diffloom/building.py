"""Building parts, a part's refusal told with its place in the configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from diffloom.errors import ConfigError, Problem

T = TypeVar("T")


def built(place: str, build: Callable[..., T], **shapes: object) -> T:
    """`build(**shapes)`. Raises ConfigError for its ValueError, at the dotted path `place`."""
    try:
        return build(**shapes)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError([Problem(place, str(error))]) from error
