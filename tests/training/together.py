"""What `torchrun` starts in the tests: several runs, one after another, by the same processes.

Its argument is a JSON list of runs: `{"folder", "file", "overrides", "resume", "stop"}`; one that is to stop raises in
the middle of the step after that many. What each process met is written to `FILE.PROCESS`, one line for each run.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from diffloom import config
from diffloom.plugins import load_plugins
from diffloom.training import train
from diffloom.training.loop import Loop

STEP = Loop._step


def run(order: dict[str, Any], plugins: Any) -> str:
    """One run; returns what it met."""

    def step(loop: Loop, passes: Any) -> Any:
        if loop.state.step == order.get("stop"):
            raise InterruptedError("stopped")
        return STEP(loop, passes)

    Loop._step = step  # type: ignore[method-assign]
    try:
        resolved = config.load(order["file"], order["overrides"], registry=plugins.registry)
        train(
            resolved,
            order["folder"],
            plugins=plugins,
            resume=order.get("resume", False),
            device=order.get("device", "cpu"),
        )
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {error}"
    return "finished"


def main() -> None:
    orders, parts = Path(sys.argv[1]), sys.argv[2]
    plugins = load_plugins((parts,))
    met = [run(order, plugins) for order in json.loads(orders.read_text())]
    orders.with_suffix(f".{os.environ['RANK']}").write_text(json.dumps(met))


main()
