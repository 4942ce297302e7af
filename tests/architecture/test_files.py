"""The shape of the files. Oracle: the rules of CONTRIBUTING.md, counted."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MACHINES = re.compile(r"/root/|/home/\w|/Users/\w|[A-Z]:\\\\Users")
"""Paths of somebody's machine."""


def files() -> list[Path]:
    """What belongs to the repository: files that are tracked, or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


PYTHON = [path for path in files() if path.suffix == ".py"]
TEXT = [path for path in files() if path.suffix in {".py", ".md", ".yaml", ".json", ".toml", ""}]


def test_the_files_are_found():
    assert len(PYTHON) > 100
    assert {"pyproject.toml", "README.md", "digits.yaml", "run"} <= {path.name for path in TEXT}


def test_no_file_is_long():
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in PYTHON}
    assert {name: lines for name, lines in lengths.items() if lines > 300} == {}


def test_a_file_is_named_by_its_noun_and_opens_with_what_it_is():
    assert [path for path in PYTHON if path.stem in {"utils", "helpers", "misc", "common"}] == []
    texts = {path: path.read_text() for path in PYTHON}
    assert [path for path, text in texts.items() if text and not text.startswith(('"""', 'r"""'))] == []


def test_no_file_names_somebodys_machine():
    texts = {path: path.read_text().replace(MACHINES.pattern, "") for path in TEXT}
    assert {path: found for path, text in texts.items() if (found := MACHINES.findall(text))} == {}
