"""A stranger's package beside diffloom's wheel: installed with pip, checked, trained, sampled from the command line.

Oracle: the laws of the kit, and what the files on disk say of themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., str]
ACME = Path(__file__).parent / "acme-moon"


def test_the_wheel_is_what_runs(acme_moon: Run, tmp_path: Path) -> None:
    names = ["diffloom", "diffloom_unet", "acme_moon"]
    code = f"import {', '.join(names)}; print({', '.join(f'{name}.__file__' for name in names)})"
    environment = Path(acme_moon("-c", "import sys; print(sys.prefix)", cwd=tmp_path).strip())
    places = acme_moon("-c", code, cwd=tmp_path).split()
    assert len(places) == 3
    for place in places:
        assert environment in Path(place).parents


def test_every_part_is_listed_and_nothing_is_set_aside(acme_moon: Run, tmp_path: Path) -> None:
    inventory = json.loads(acme_moon("-m", "diffloom", "plugins", "list", "--json", cwd=tmp_path))
    assert inventory["quarantined"] == []
    assert inventory["distributions"]["acme-moon"] == "1.2.0"
    mine = {(c["kind"], c["name"]) for c in inventory["components"] if c["name"].startswith("acme-moon/")}
    assert mine == {
        ("space", "acme-moon/haar"),
        ("conditioner", "acme-moon/phase"),
        ("backbone", "acme-moon/film_net"),
        ("sampler", "acme-moon/dpmpp_2m"),
        ("schedule", "acme-moon/sigmoid"),
    }


def test_it_passes_the_kit(acme_moon: Run, tmp_path: Path) -> None:
    output = acme_moon("-m", "diffloom", "plugins", "check", "acme-moon", cwd=tmp_path)
    assert "acme-moon: 5 configurations, " in output


def test_a_new_package_passes_its_own_test(scratch: Any, tmp_path: Path) -> None:
    """What `plugins new` writes, installed as generated, inside a project with pytest habits of its own."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n'
    )
    scratch.run("-m", "diffloom", "plugins", "new", "moon", cwd=tmp_path)
    package = tmp_path / "moon"
    scratch.install(package)
    assert "1 passed" in scratch.run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=package)
    output = scratch.run("-m", "diffloom", "plugins", "list", cwd=tmp_path)
    assert "moon/euler " in output
    assert "moon/convnet " in output
    again = scratch.run("-m", "diffloom", "plugins", "new", "moon", "-o", "x", cwd=tmp_path, fails=True)
    assert "'moon' is installed already" in again
    assert not (tmp_path / "x").exists()


def test_a_file_that_uses_all_five_trains_and_samples(acme_moon: Run, tmp_path: Path) -> None:
    file = ACME / "digits.yaml"
    assert "acme-moon/dpmpp_2m" in acme_moon("-m", "diffloom", "config", "check", file, cwd=tmp_path)
    acme_moon("-m", "diffloom", "train", file, "-o", "run", cwd=tmp_path)
    resolved = (tmp_path / "run" / "config.resolved.yaml").read_text()
    for part in ("haar", "phase", "film_net", "sigmoid", "dpmpp_2m"):
        assert f"acme-moon/{part}" in resolved
    assert 'acme-moon: "1.2.0"' in resolved, "the versions it was made with"
    losses = [
        json.loads(line)["loss"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert losses[-1] < losses[0], "it learns"
    acme_moon("-m", "diffloom", "sample", "run", "--label", "7", "-n", "2", "-o", "a", cwd=tmp_path)
    code = """
import diffloom
pipe = diffloom.load("run")
together, alone = (pipe.sample(label=label, seed=0).tensor for label in ([7, 7, 3], 7))
print(tuple(together.shape), bool(together.isfinite().all()), bool((together[0] != together[1]).any()))
print(float((together[:1] - alone).abs().max()) < 1e-5)
"""
    assert acme_moon("-c", code, cwd=tmp_path).split("\n")[:2] == ["(3, 1, 8, 8) True True", "True"]
    assert len(list((tmp_path / "a").glob("*.png"))) == 2
    told = acme_moon("-m", "diffloom", "sample", "run", "--label", "11", cwd=tmp_path, fails=True)
    assert "phase 11.0 is not from 0 to below 10" in told
    assert "Traceback" not in told


def test_a_file_without_use_is_told_what_to_write(acme_moon: Run, tmp_path: Path) -> None:
    text = (ACME / "digits.yaml").read_text().replace("use: [diffloom, acme-moon]", "")
    (tmp_path / "bare.yaml").write_text(text)
    told = acme_moon("-m", "diffloom", "config", "check", "bare.yaml", cwd=tmp_path, fails=True)
    assert "unknown space 'haar'; write 'acme-moon/haar', or put 'acme-moon' in the file's `use:`" in told
    assert "unknown backbone 'film_net'" in told, "every problem at once"


def test_a_name_that_both_have_must_be_written_in_full(acme_moon: Run, tmp_path: Path) -> None:
    text = (ACME / "digits.yaml").read_text().replace("acme-moon/dpmpp_2m", "dpmpp_2m")
    (tmp_path / "both.yaml").write_text(text)
    told = acme_moon("-m", "diffloom", "config", "check", "both.yaml", cwd=tmp_path, fails=True)
    assert "sampler 'dpmpp_2m' is ambiguous: diffloom/dpmpp_2m and acme-moon/dpmpp_2m both have it" in told


def test_a_shipped_configuration_is_inside_the_wheel(acme_moon: Run, tmp_path: Path) -> None:
    assert "ok" in acme_moon("-m", "diffloom", "config", "check", "diffloom:digits", cwd=tmp_path)
    small = [
        "train.steps=2",
        "train.batch_size=8",
        "train.sample_every=null",
        "train.lr_schedule.warmup_steps=0",
    ]
    acme_moon("-m", "diffloom", "train", "diffloom:digits", "-o", "run", *small, cwd=tmp_path)
    assert list((tmp_path / "run").rglob("*.safetensors"))
