"""Links from a page to lines of code, each with the code that it means as its title.

    [the posterior's mean](../core/diffloom/process/forward.py#L61 "return self.x0 * x0 + self.x_t * x_t")

The title must stand on exactly one line of the file, and the number is that line's: `renewed` writes it anew when code
has moved, and refuses where the code is gone. Run by `make docs`; a test fails when a number is stale.
"""

from __future__ import annotations

import re
from pathlib import Path

LINK = re.compile(
    r"""\]\((?P<path>[^)\s#]+)\#L(?P<line>\d+)\s(?P<quote>["'])(?P<code>.*?)(?P=quote)\)""", re.DOTALL
)


def renewed(text: str, folder: Path) -> str:
    """The page's text with every line number as it is in the files, which lie as seen from `folder`.

    Raises ValueError naming all links whose code is on no line of their file, or on several.
    """
    wrong: list[str] = []

    def renew(match: re.Match[str]) -> str:
        path, code = match["path"], " ".join(match["code"].split())
        lines = (folder / path).read_text(encoding="utf-8").splitlines()
        found = [number for number, line in enumerate(lines, 1) if code in line]
        if len(found) != 1:
            where = f"on lines {found}" if found else "on no line"
            wrong.append(f"{path}: {code!r} is {where}")
            return match[0]
        return f"]({path}#L{found[0]} {match['quote']}{match['code']}{match['quote']})"

    result = LINK.sub(renew, text)
    if wrong:
        raise ValueError("\n".join(wrong))
    return result


def renew(page: Path) -> None:
    """Write the page's line numbers anew."""
    page.write_text(renewed(page.read_text(encoding="utf-8"), page.parent), encoding="utf-8")
