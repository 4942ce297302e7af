"""docs/mathematics.md leads to the lines that compute its equations. Oracle: the code that each link quotes."""

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "mathematics.md"
TOOLS = runpy.run_path(str(DOCS / "line_links.py"))
renewed, LINK = TOOLS["renewed"], TOOLS["LINK"]


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_every_link_leads_to_the_line_it_quotes(text):
    assert renewed(text, DOCS) == text, "code has moved: run `make docs`"


def test_every_link_to_code_quotes_a_line(text):
    to_code = re.findall(r"\]\([^)\s]+\.py", text)
    assert len(to_code) == len(LINK.findall(text)) > 40


def test_every_equation_is_followed_by_its_code(text):
    ends = [match.end() for match in re.finditer(r"\\tag\{\d+\} \$\$\n\n", text)]
    assert len(ends) == text.count("$$") / 2 > 30
    assert [text[end : end + 40] for end in ends if not text[end:].startswith("Code: [")] == []


def test_equations_are_numbered_in_order(text):
    numbers = [int(number) for number in re.findall(r"\\tag\{(\d+)\}", text)]
    assert numbers == list(range(1, len(numbers) + 1))
    cited = {int(number) for number in re.findall(r"(?<![\w}])\((\d+)\)", text)}
    assert cited <= set(numbers)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "code.py").write_text("one = 1\ntwo = 1 + one\nthree = 1 + two\n")
    return tmp_path


def test_a_number_is_renewed(folder):
    stale = 'see [two](code.py#L77 "two = 1 + one") here'
    assert renewed(stale, folder) == 'see [two](code.py#L2 "two = 1 + one") here'


@pytest.mark.parametrize(
    ("code", "told"),
    [("four = 4", "is on no line"), ("= 1 +", r"is on lines \[2, 3\]")],
    ids=["gone", "twice"],
)
def test_code_that_is_gone_or_not_unique_is_refused(folder, code, told):
    with pytest.raises(ValueError, match=rf"^code\.py: .*{told}$"):
        renewed(f'[a](code.py#L1 "{code}")', folder)
