"""What parts compute, in one line each, with their own constants. Others say the first line of their docstring."""

from __future__ import annotations

from diffloom.config.plain import plain
from diffloom.kinds import Component

ABSENT = ("null", "false", "[]")
"""Values that say of a field only that it is not used."""


def equation_of(part: Component) -> str | None:
    """The part's equation with its constants; None where nobody wrote one down."""
    template = vars(type(part)).get("equation", "")
    return template.format_map(_words(part)) if template else None


def summary_of(part: Component) -> str:
    """What the part says of itself: the first line of its docstring."""
    return (type(part).__doc__ or "").strip().partition("\n")[0]


def constants_of(part: Component) -> str:
    """Its fields and their values as one writes them in YAML, without nested parts and what is null, off or empty."""
    nested = {name.partition("[")[0] for name in nested_parts(part)}
    return ", ".join(
        f"{name} {value}"
        for name, value in _words(part).items()
        if name not in nested and value not in ABSENT
    )


def nested_parts(part: Component) -> dict[str, Component]:
    """The parts that stand in its fields, by the field's name: `weighting`, `parts[0]`."""
    found = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, Component):
            found[name] = value
        elif isinstance(value, tuple):
            found |= {f"{name}[{i}]": item for i, item in enumerate(value) if isinstance(item, Component)}
    return found


def _words(part: Component) -> dict[str, str]:
    return {name: _word(value) for name, value in plain(part).items() if name != "type"}


def _word(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{', '.join(_word(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_word(item)}' for key, item in value.items())}}}"
    return str(value)
