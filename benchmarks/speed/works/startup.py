"""From nothing to a model: whole processes, as someone at a command line waits for them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.goal import Goal
from benchmarks.speed.works.sampling_step import CIFAR

OURS: Mapping[str, Any] = {
    "image": {"size": 32, "channels": 3},
    "backbone": {"type": "unet", "channels": [128, 256, 256, 256], "attention_resolutions": [16]},
    "schedule": {"type": "linear", "steps": 1000},
    "prediction": "epsilon",
    "sampling": {"sampler": "ddim", "steps": 50},
}
"""The network that `CIFAR` is for diffusers."""
NEEDED = "torch, pydantic and the first weights alone"
BUILT = Goal("import and build the pixel U-Net", "seconds", 0.3, beyond="torch alone", least=NEEDED)
DRAWN, ZERO = 24_550_400, 11_181_699
"""Of the network's 35.7 million weights: as many begin at random, and as many at zero."""
HELP = Goal("help at the command line", "seconds", 0.15)


def cases(device: torch.device) -> Iterator[Case]:
    """Imports, the network of 35.7 million weights, and help.

    Beside them bare torch, which both sides pay for, and what every engine needs that has its configuration checked by
    pydantic and fills as many weights as torch fills them.
    """
    # Without torchvision, which some installations have in a state that cannot be imported: the peer starts faster so.
    hidden = "import sys; sys.modules['torchvision'] = None"
    theirs = f"{hidden}; from diffusers import DDPMScheduler, UNet2DModel; UNet2DModel(**{CIFAR!r})"
    ours = f"import diffloom; diffloom.build({dict(OURS)!r}, device='cpu')"
    needed = (
        "import torch; from pydantic import BaseModel, Field, TypeAdapter; "
        f"torch.empty({DRAWN}).uniform_(), torch.zeros({ZERO})"
    )
    yield Case(
        "import and build, pixel U-Net 35.7 M",
        Arm("diffusers", partial(_python, theirs)),
        [
            Arm("diffloom", partial(_python, ours), [BUILT]),
            Arm(BUILT.beyond, partial(_python, "import torch")),
            Arm(NEEDED, partial(_python, needed)),
        ],
        rounds=3,
        fewest=3,
        clock="children",
    )
    yield Case(
        "help",
        Arm("python alone", partial(_python, "pass")),
        [
            Arm(" ".join(["diffloom", *words]), partial(_run, "-m", "diffloom", *words), [HELP])
            for words in (["--help"], ["sample", "--help"], ["train", "--help"])
        ],
        rounds=5,
        clock="children",
    )


def _python(code: str) -> None:
    _run("-c", code)


def _run(*words: str) -> None:
    """A process of Python's from its beginning to its end, which keeps what it compiles, as an installer does.

    Where PYTHONDONTWRITEBYTECODE stands, the sources of a checkout would be compiled anew in every process, and those
    of the peer, which an installer compiled, in none.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=environment)
