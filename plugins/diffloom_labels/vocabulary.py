"""Class ids and class names."""

from __future__ import annotations

import difflib
import operator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The classes a model knows: ids 0 … count − 1, with names or without."""

    count: int
    names: tuple[str, ...] | None = None

    def check(self, raw: Any) -> int:
        """The id of a label. An integer is an id, a string is a name (or an id in digits: see `parse`).

        Raises ValueError saying which labels there are.
        """
        if isinstance(raw, str):
            return self.parse(raw)
        try:
            label = operator.index(raw)  # takes numpy's integers and one-element tensors, refuses floats
        except TypeError:
            label = None
        if label is None or isinstance(raw, bool):
            raise ValueError(f"label {raw!r} is neither an id nor a name: this model knows {self.known}")
        if not 0 <= label < self.count:
            raise ValueError(f"label {label} is out of range: this model knows {self.known}")
        return label

    def parse(self, text: str) -> int:
        """The id that a text means: the class of that name, otherwise the id in digits.

        Where classes are themselves called by numbers ("1", "2", "5"), a number is always a name: `--label 1`
        never means the second class in silence.
        """
        names = self.names or ()
        if text in names:
            return names.index(text)
        if not is_number(text):
            raise ValueError(f"unknown label {text!r}{self._near(text)}: this model knows {self.known}")
        if any(is_number(name) for name in names):
            raise ValueError(f"label {text} is out of range: this model knows {self.known}")
        return self.check(int(text))

    @property
    def known(self) -> str:
        """What is allowed, for messages: `0 … 9`, or names with the range of their ids."""
        span = "0" if self.count == 1 else f"0 … {self.count - 1}"
        if self.names is None or self.names == tuple(str(i) for i in range(self.count)):
            return span
        shown = ", ".join(self.names[:10]) + (", …" if self.count > 10 else "")
        return shown if any(is_number(name) for name in self.names) else f"{span} ({shown})"

    def _near(self, text: str) -> str:
        near = difflib.get_close_matches(text, self.names or (), n=1, cutoff=0.6)
        return f"; did you mean {near[0]!r}?" if near else ""


def is_number(text: str) -> bool:
    """Whether a text is a whole number in ASCII digits, with or without a minus sign."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit()
