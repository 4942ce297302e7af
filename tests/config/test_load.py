"""Files, what they extend, overrides: what is read from where, and what is said when it cannot be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from diffloom.config import Resolved, load, parse
from diffloom.config.files import shipped
from diffloom.errors import ConfigError
from diffloom.registry import Registry


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complete: str) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.yaml").write_text(complete)
    return tmp_path


def problems(source: Any, registry: Registry, overrides: Sequence[str] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(source, overrides, registry=registry)
    return [str(problem) for problem in caught.value.problems]


def given(text: str, registry: Registry) -> Resolved:
    return parse(text, name="f.yaml", registry=registry)


# files


def test_given_is_the_text_of_the_file(folder: Path, registry: Registry, complete: str) -> None:
    for source in ("digits.yaml", Path("digits.yaml"), folder / "digits.yaml"):
        assert load(source, ["train.lr=1"], registry=registry).given == complete


def test_byte_order_mark_is_no_part_of_the_text(folder: Path, registry: Registry, complete: str) -> None:
    Path("bom.yaml").write_bytes(b"\xef\xbb\xbf" + complete.encode())
    assert load("bom.yaml", registry=registry).given == complete


def test_files_that_cannot_be_read(folder: Path, registry: Registry) -> None:
    Path("empty.yaml").write_text("# nothing\n")
    Path("latin.yaml").write_bytes(b"image: \xe4")
    Path("list.yaml").write_text("- image")
    assert problems("digit.yaml", registry) == ["digit.yaml: no such file; did you mean digits.yaml?"]
    assert problems("nowhere/x.yaml", registry) == ["nowhere/x.yaml: no such file"]
    assert problems("digits.yaml/x.yaml", registry) == ["digits.yaml/x.yaml: no such file"]
    assert problems(".", registry) == [".: this is a folder, not a file"]
    assert problems("empty.yaml", registry) == ["empty.yaml: the file is empty"]
    assert problems("latin.yaml", registry) == ["latin.yaml: not UTF-8 text: byte 0xe4 at offset 7"]
    assert problems("list.yaml", registry) == ["list.yaml:1:1: expected a mapping of keys, got ['image']"]


def test_no_permission(folder: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the refusal is made by hand where the tests run as root."""
    Path("digits.yaml").chmod(0)
    if os.access("digits.yaml", os.R_OK):

        def refuse(self: Path) -> bytes:
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "read_bytes", refuse)
    assert problems("digits.yaml", registry) == ["digits.yaml: no permission to read this file"]


def test_shipped_configurations(registry: Registry, folder: Path) -> None:
    assert "digits" in shipped()
    (problem,) = problems("diffloom:digitz", registry)
    assert problem == "diffloom:digitz: no such shipped configuration; did you mean 'digits'?"
    assert problems("digits", registry) == ["digits: no such file; did you mean diffloom:digits?"]


def test_shipped_configurations_of_an_installed_wheel(folder: Path) -> None:
    """In a wheel the files lie inside the package; the layout is made here, and looked at by a fresh Python."""
    import diffloom

    package = Path(diffloom.__file__).parent
    site = folder / "site"
    shutil.copytree(package, site / "diffloom", ignore=shutil.ignore_patterns("__pycache__", "configs"))
    (site / "diffloom" / "configs").mkdir()
    (site / "diffloom" / "configs" / "moon.yaml").write_text("image: 1\n")
    code = "from diffloom.config.files import *; print(shipped(), text_of(locate('diffloom:moon')))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "('moon',) image: 1\n\n"


# extends


def test_extends(folder: Path, registry: Registry) -> None:
    """The later of several files wins, the file itself over all; paths start at the extending file."""
    (folder / "sub").mkdir()
    Path("sub/a.yaml").write_text("extends: ../digits.yaml\ntrain: {steps: 7, batch_size: 8}\n")
    Path("sub/b.yaml").write_text("train: {batch_size: 9, lr: 5}\n")
    Path("top.yaml").write_text("extends: [sub/a.yaml, sub/b.yaml]\ntrain: {lr: 3}\n")
    resolved = load("top.yaml", registry=registry)
    train = resolved.document.train
    assert train is not None
    assert (train.steps, train.batch_size, train.lr) == (7, 9, 3.0)
    assert resolved.origin("train.steps") == "sub/a.yaml:2:16"
    assert resolved.origin("train.batch_size") == "sub/b.yaml:1:21"
    assert resolved.origin("train.lr") == "top.yaml:2:13"
    assert resolved.origin("image.size") == "sub/../digits.yaml:1:15"


def test_extending_an_empty_mapping_changes_nothing(folder: Path, registry: Registry, complete: str) -> None:
    Path("nothing.yaml").write_text("{}\n")
    Path("top.yaml").write_text("extends: nothing.yaml\n" + complete)
    Path("bare.yaml").write_text("extends: digits.yaml\n")
    plain = load("digits.yaml", registry=registry)
    for file in ("top.yaml", "bare.yaml"):
        assert load(file, registry=registry).document == plain.document
        assert load(file, registry=registry).digest == plain.digest


def test_one_base_reached_twice_is_no_circle(folder: Path, registry: Registry) -> None:
    Path("a.yaml").write_text("extends: digits.yaml\n")
    Path("top.yaml").write_text("extends: [a.yaml, digits.yaml]\n")
    assert load("top.yaml", registry=registry) is not None


def test_extends_circle(folder: Path, registry: Registry) -> None:
    Path("a.yaml").write_text("extends: b.yaml\n")
    Path("b.yaml").write_text("x: 1\nextends: [digits.yaml, a.yaml]\n")
    assert problems("a.yaml", registry) == [
        "b.yaml:2:24: extends: a.yaml: the files extend each other in a circle: a.yaml → b.yaml → a.yaml"
    ]


def test_extends_mistakes(folder: Path, registry: Registry, complete: str) -> None:
    Path("top.yaml").write_text(f"extends: [digit.yaml, 3, 'diffloom:nope']\n{complete}")
    assert problems("top.yaml", registry) == [
        "top.yaml:1:11: extends: digit.yaml: no such file; did you mean digits.yaml?",
        "top.yaml:1:23: extends: expected text or a list of texts, got 3",
        "top.yaml:1:26: extends: diffloom:nope: no such shipped configuration; "
        f"there are {', '.join(shipped())}",
    ]


def test_problems_of_every_file_at_once(folder: Path, registry: Registry) -> None:
    Path("digits.yaml").write_text(Path("digits.yaml").read_text().replace("1e-4", "fast"))
    Path("top.yaml").write_text("extends: digits.yaml\ntrain: {steps: 0}\n")
    assert problems("top.yaml", registry, ["image.size=x"]) == [
        "top.yaml:2:16: train.steps: must be greater than 0, got 0",
        "digits.yaml:16:7: train.lr: expected a number, got 'fast'",
        "override 'image.size=x': image.size: expected a whole number or a list of 2 whole numbers, got 'x'",
    ]


def test_text_without_a_file_extends_nothing(registry: Registry, complete: str) -> None:
    """A checkpoint's text cannot make anybody read files."""
    with pytest.raises(ConfigError) as caught:
        given(f"extends: /etc/hostname\n{complete}", registry)
    assert str(caught.value) == "f.yaml:1:1: extends: only a file on disk can extend another"


# use


def test_use_decides_what_bare_names_mean(folder: Path, registry: Registry) -> None:
    """Each file for itself: the base says `crater` and `leading` of acme-moon, the top `trailing` of diffloom."""
    Path("base.yaml").write_text(
        "use: acme_moon\nextends: digits.yaml\nbackbone: {type: crater, maybe: leading}\n"
    )
    Path("top.yaml").write_text("extends: base.yaml\nsampling: {spacing: trailing}\n")
    document = load("top.yaml", ["sampling.spacing=leading"], registry=registry).document
    assert document.backbone.canonical == "acme-moon/crater"
    assert document.backbone.maybe.canonical == "acme-moon/leading"  # type: ignore[attr-defined]
    assert document.sampling.spacing.canonical == "diffloom/leading"


@pytest.mark.parametrize(
    ("use", "backbone", "problem"),
    [
        ("[diffloom]", "nett", "4:13: backbone: unknown backbone 'nett'; did you mean 'net'?"),
        (
            "[diffloom]",
            "crater",
            "4:13: backbone: unknown backbone 'crater'; write 'acme-moon/crater', "
            "or put 'acme-moon' in the file's `use:`",
        ),
        (
            "[diffloom, acme-moon]",
            "net",
            "4:13: backbone: backbone 'net' is ambiguous: diffloom/net and acme-moon/net both have it; "
            "write one of these in full",
        ),
        (
            "[diffloom]",
            "acme-mars/net",
            "4:13: backbone: backbone 'acme-mars/net': acme-mars is not installed; "
            "try `pip install acme-mars`",
        ),
        ("[diffloom, acme-mon]", "net", "1:17: use: acme-mon is not installed; did you mean 'acme-moon'?"),
        ("[diffloom, zebra]", "net", "1:17: use: zebra is not installed; try `pip install zebra`"),
        ("acme-sun", "acme-moon/net", "1:6: use: acme-sun is installed but broken: ImportError: no helium"),
    ],
)
def test_names(
    *, folder: Path, registry: Registry, complete: str, use: str, backbone: str, problem: str
) -> None:
    rest = complete.replace("backbone:\n  type: net\n  channels: [32, 64]\n", "")
    for bare in ("label", "linear", "epsilon", "ddim", "classifier_free"):
        rest = rest.replace(f"type: {bare}", f"type: diffloom/{bare}").replace(
            f": {bare}\n", f": diffloom/{bare}\n"
        )
    text = f"use: {use}\n# a comment\n\nbackbone:   {backbone}\n{rest}"
    Path("f.yaml").write_text(text)
    assert problems("f.yaml", registry) == [f"f.yaml:{problem}"]
