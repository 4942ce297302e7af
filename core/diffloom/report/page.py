"""The page: everything in one file, which loads nothing and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import jinja2

import diffloom
from diffloom.report.account import Account, names_of, read_account
from diffloom.report.charts import charts
from diffloom.report.curve import MOST_POINTS
from diffloom.report.reproduction import digests, steps
from diffloom.report.settings import differences
from diffloom.report.surroundings import duration_text, moment_text, rows, size_text

FOLDER = Path(__file__).parent / "page"


def report(folders: Sequence[Path]) -> str:
    """The page of one run, or of several beside each other. Raises RunError for a folder that is no run."""
    runs = [
        read_account(folder, name=name) for folder, name in zip(folders, names_of(list(folders)), strict=True)
    ]
    return page(runs)


def page(runs: Sequence[Account]) -> str:
    """The HTML of what was read. Whatever stands in a run is text to it: nothing in a caption becomes markup."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "size": size_text,
        "duration": duration_text,
        "moment": moment_text,
        "download": _download,
    }
    script, style = _text("charts.js") + _text("film.js"), _text("style.css")
    return environment.get_template("page.html.jinja").render(
        runs=runs,
        most_points=MOST_POINTS,
        title=" and ".join(run.name for run in runs),
        charts=charts(runs),
        differences=differences([run.settings for run in runs]),
        rows=rows,
        steps=steps,
        digests=digests,
        style=style,
        script=script,
        policy=f"default-src 'none'; img-src data:; style-src '{_source(style)}'; script-src '{_source(script)}'",
        version=diffloom.__version__,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """What a Content-Security-Policy calls an inline text that may stand in the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _download(text: str) -> str:
    """A link's address that holds a whole file."""
    return f"data:text/yaml;base64,{base64.b64encode(text.encode()).decode()}"
