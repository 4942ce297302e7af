"""What these tests share: networks whose weights are all at work, and a cache folder of their own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from diffloom.inference import gains as gains_module
from diffloom.testing.modules import awake
from diffloom_unet import CrossAttentionUNetModel, UNetModel


def made(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return awake(build(), seed=seed)


@pytest.fixture
def unet() -> Callable[[int], nn.Module]:
    """(seed) → a small pixel U-Net, none of its weights zero."""
    return partial(made, partial(UNetModel, channels=(16, 32), norm_groups=8, head_channels=16))


@pytest.fixture
def text_unet() -> Callable[[int], nn.Module]:
    """(seed) → a small U-Net that reads 7 tokens of width 16."""
    return partial(
        made,
        partial(
            CrossAttentionUNetModel,
            channels=(16, 32),
            transformer_depth=(1, 1),
            token_width=16,
            heads=2,
            norm_groups=8,
        ),
    )


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user's, and a process that has measured nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(gains_module, "_known", {})
    return tmp_path / "diffloom" / "gains"
