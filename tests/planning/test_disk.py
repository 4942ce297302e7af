"""Oracle: a run folder that real files are written to and pruned from, step by step."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from diffloom import config
from diffloom.config.document import Train
from diffloom.planning.disk import disk
from diffloom.plugins import load_registry
from diffloom.training.run_folder import RunFolder

DIGITS = config.load("diffloom:digits", registry=load_registry()).document.train
GROUPS = {"frozen": 5, "weights": 100, "ema": 100, "optimizer": 200, "meter": 3}


def settings_of(**fields: object) -> Train:
    return DIGITS.model_copy(update={"sample_every": None, **fields})


@settings(max_examples=40, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "steps": st.integers(1, 40),
            "checkpoint_every": st.integers(1, 15),
            "keep_checkpoints": st.integers(1, 4),
            "keep_every": st.none() | st.integers(1, 20),
            "sample_every": st.none() | st.integers(1, 15),
        }
    )
)
def test_files_are_those_of_a_run(tmp_path_factory, fields) -> None:
    train = settings_of(**fields)
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.checkpoints.mkdir()
    most = 0
    pictures = 0
    for step in range(1, train.steps + 1):
        is_last = step == train.steps
        if step % train.checkpoint_every == 0 or is_last:
            folder.checkpoint(step).touch()
            most = max(most, len(folder.saved()))
            folder.prune(keep=train.keep_checkpoints, every=train.keep_every)
        pictures += train.sample_every is not None and (step % train.sample_every == 0 or is_last)
    planned = disk(train, GROUPS)
    assert planned.checkpoint == 408
    assert planned.checkpoints == len(folder.saved())
    assert planned.total == 408 * len(folder.saved())
    assert planned.peak >= 408 * most  # and as much where one more is written beside all that stay
    assert planned.pictures == pictures
    assert planned.snapshots == 0


def test_snapshots_are_of_the_averages_that_can_be_combined() -> None:
    registry = load_registry()
    document = config.load(
        "diffloom:digits",
        [
            "train.snapshot_every=300",
            "train.further_ema={wide: {type: power, sigma_rel: 0.1}, narrow: {type: power, sigma_rel: 0.05}}",
        ],
        registry=registry,
    ).document
    planned = disk(document.train, {**GROUPS, "ema:wide": 90, "ema:narrow": 90})
    assert (planned.snapshot, planned.snapshots) == (180, 3)  # after 300, 600 and the last of 800 steps
    assert planned.total == 2 * (408 + 180) + 3 * 180
