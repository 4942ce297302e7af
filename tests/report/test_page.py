"""The page as a text. Oracle: Python's own HTML parser, and the run's files."""

from __future__ import annotations

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from diffloom import config
from diffloom.cli.report import report as command
from diffloom.errors import RunError
from diffloom.pictures import save_png
from diffloom.plugins import load_plugins
from diffloom.report.page import report
from diffloom.training import train

VOID = {"meta", "link", "img", "input", "br"}
AUTOENCODER = """\
image: {size: 8, channels: 1}
space: {type: autoencoder_kl, channels: [4], norm_groups: 2}
autoencoder: {criteria: [lp]}
data: {type: digits}
train: {steps: 2, batch_size: 4, lr: 1e-3, log_every: 1}
"""


class Outline(HTMLParser):
    """Elements with their attributes, and text; what is not closed in order is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def test_it_is_well_formed_and_points_nowhere(run: Path) -> None:
    text = report([run])
    outline = Outline(text)
    addresses = [
        value for _, attrs in outline.elements for key, value in attrs.items() if key in ("src", "href")
    ]
    assert addresses
    assert [address for address in addresses if not (address or "").startswith(("data:", "#"))] == []
    assert re.findall(r"@import|url\(", text) == []
    keys = [attrs["id"] for _, attrs in outline.elements if "id" in attrs]
    assert len(set(keys)) == len(keys)
    assert {f"#{key}" for key in keys} >= {
        address for address in addresses if (address or "").startswith("#")
    }


def test_the_configuration_can_be_taken_from_it(run: Path) -> None:
    (link,) = [attrs for tag, attrs in Outline(report([run])).elements if tag == "a" and "download" in attrs]
    saved = base64.b64decode(str(link["href"]).partition(",")[2])
    assert saved == (run / "config.resolved.yaml").read_bytes()
    again = config.parse(saved.decode(), name="saved", registry=load_plugins().registry)
    assert again.document.train is not None


def test_how_to_repeat_it(run: Path) -> None:
    text = Outline(report([run])).text
    assert "pip install diffloom==0.1.0 torch==" in text
    assert "diffloom train config.resolved.yaml -o again" in text
    header = json.loads((run / "environment.json").read_text())["sessions"][0]
    assert header["config_digest"] in text
    assert header["data"]["digest"] in text


def test_markup_in_a_run_is_text(copied: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    (copied / "findings.jsonl").write_text(json.dumps({"step": 1, "cause": hostile, "text": hostile}) + "\n")
    recipe = {"conditions": {hostile: [f'"{hostile}']}}
    save_png(Image.new("L", (4, 4)), copied / "samples" / "step-00000012.png", recipe=recipe)
    named = copied.rename(copied.with_name(hostile))
    plain = [tag for tag, _ in Outline(report([copied.parent / named.name])).elements]
    assert plain.count("img") == 3, "the three sheets and nothing else"
    assert all("onerror" not in attrs for _, attrs in Outline(report([named])).elements)


def test_a_run_without_anything_but_a_beginning(copied: Path) -> None:
    """As it is before the first row: no figures, no samples, no checkpoints, nothing found."""
    for name in ("samples", "checkpoints"):
        shutil.rmtree(copied / name)
    for name in ("metrics.jsonl", "findings.jsonl", "environment.json"):
        (copied / name).unlink()
    text = Outline(report([copied])).text
    for told in (
        "0 of 12",
        "Nothing.",
        "No row of figures has been logged yet.",
        "No samples were drawn",
        "Nobody wrote down where the values come from.",
        "No checkpoint has been written yet.",
        "Nobody wrote down where this run computed.",
    ):
        assert told in text


def test_a_run_in_its_course(copied: Path) -> None:
    """A row, a sheet and a finding that are half written are left out."""
    for name in ("metrics.jsonl", "findings.jsonl"):
        path = copied / name
        path.write_text(path.read_text()[:-10])
    (copied / "samples" / ".step-00000016.png.1.tmp").write_bytes(b"\x89PNG")
    text = Outline(report([copied])).text
    assert "loader-starved" in text
    assert "ema-frozen" not in text


def test_an_autoencoder(tmp_path: Path) -> None:
    resolved = config.parse(AUTOENCODER, name="autoencoder.yaml", registry=load_plugins().registry)
    train(resolved, tmp_path / "run", plugins=load_plugins(), device="cpu")
    text = Outline(report([tmp_path / "run"])).text
    assert "an autoencoder, diffloom/autoencoder_kl" in text
    assert "No samples were drawn: train.sample_every is null" in text
    assert "regularisation, by step" not in text
    assert " lp " in text


def test_a_long_run_makes_no_large_page(copied: Path) -> None:
    """Oracle: the mean of all rows is that of the points, each of which stands for as many."""
    losses = np.random.default_rng(0).exponential(size=100_000)
    lines = (json.dumps({"step": step, "loss": loss}) for step, loss in enumerate(losses.tolist(), 1))
    (copied / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    text = report([copied])
    assert len(text) < 300_000
    assert "Where there are more than 400 rows" in text
    data = re.search(r'id="chart-loss".*?<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    (line,) = json.loads(data[1])["lines"]
    points = np.array(line["points"])
    assert len(points) == 400
    assert points[:, 2].mean() == pytest.approx(losses.mean(), rel=1e-5)  # six digits are kept
    assert points[:, 3].max() == pytest.approx(losses.max(), rel=1e-5)


def test_several_runs_beside_each_other(run: Path, copied: Path) -> None:
    resolved = copied / "config.resolved.yaml"
    resolved.write_text(resolved.read_text().replace("lr: 0.004", "lr: 0.001"))
    other = copied.rename(copied.with_name("other"))
    outline = Outline(report([run, other]))
    charts = [attrs["id"] for tag, attrs in outline.elements if tag == "figure" and "id" in attrs]
    assert charts == [
        "chart-loss",
        "chart-loss-by-noise-0",
        "chart-loss-by-noise-1",
        "chart-grad_norm",
        "chart-lr",
        "chart-images_per_second",
        "chart-data_wait",
    ]
    assert "What differs Key small other train.lr 0.004 0.001" in outline.text


def test_namesakes_are_told_apart(run: Path, copied: Path) -> None:
    headings = Outline(report([run, copied])).text
    assert f"{run.parent.name}/small and {copied.parent.name}/small" in headings


def test_the_command(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, [str(copied)], catch_exceptions=False)
    assert done.output == f"{copied / 'report.html'}\n"
    assert Outline((copied / "report.html").read_text(encoding="utf-8")).elements
    done = CliRunner().invoke(command, [str(copied), str(copied), "-o", "both.html"], catch_exceptions=False)
    assert done.output == "both.html\n"
    assert Path("both.html").is_file()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no run folder \(it has no config\.resolved\.yaml\); name a run$"):
        report([tmp_path])
