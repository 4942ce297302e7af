"""A run's resolved configuration as a flat list of parameters, which is how trackers compare runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import yaml

Scalar: TypeAlias = bool | int | float | str


def parameters(config: str) -> dict[str, Scalar]:
    """Dotted path → value: `train.lr` → 0.002. A list of plain values is one text, of parts one entry for each."""
    return dict(_flat(yaml.safe_load(config), ""))


def _flat(value: Any, path: str) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}.{index}")
    elif isinstance(value, bool | int | float | str):
        yield path, value
    else:
        yield (
            path,
            "null" if value is None else yaml.safe_dump(value, default_flow_style=True, width=2**31).strip(),
        )
