"""Networks in which somebody has put layers of their own, or told those there something else: the forms that draw
samples, and those that train, keep to what the layers compute. Oracle: the network's own forward, called part by part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.inference import ReadyNetworks
from diffloom.nn import Upsample, doubled
from diffloom.testing.modules import awake
from diffloom_unet import CrossAttentionUNetModel, UNetModel
from diffloom_unet.network import Network

SMALL: dict[str, Any] = {"channels": (96, 128), "blocks_per_level": 1, "norm_groups": 4, "in_channels": 3}
NETWORKS: dict[str, Callable[[], Network]] = {
    "conv": lambda: UNetModel(attention_levels=(1,), **SMALL),
    "residual": lambda: UNetModel(attention_levels=(), embedding="scale_shift", resample="residual", **SMALL),
    "tokens": lambda: CrossAttentionUNetModel(token_width=6, transformer_depth=(1, 1), heads=2, **SMALL),
}
LAYERS = (nn.Conv2d, nn.Linear, nn.GroupNorm, nn.LayerNorm)


class Around(nn.Module):
    """What adapters such as LoRA do: a module around the layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * 1.2  # type: ignore[no-any-return]


def around(network: nn.Module, kind: type[nn.Module]) -> None:
    for part in list(network.modules()):
        for name, layer in list(part.named_children()):
            if type(layer) is kind:
                setattr(part, name, Around(layer))


def derived(network: nn.Module, kind: type[nn.Module]) -> None:
    """A class of the same interface that computes something else."""

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return kind.forward(self, x) * 1.2  # type: ignore[no-any-return]

    other = type("Derived", (kind,), {"forward": forward})
    for layer in network.modules():
        if type(layer) is kind:
            layer.__class__ = other


def parametrized(network: nn.Module, kind: type[nn.Module]) -> None:
    """torch's own way to compute a weight from others."""
    for layer in list(network.modules()):
        if type(layer) is kind:
            made: Any = nn.utils.parametrizations.weight_norm(layer)
            made.parametrizations.weight.original0.mul_(1.2)


def circular(network: nn.Module, kind: type[nn.Module]) -> None:
    """Pictures whose edges meet, as those who draw wallpaper ask of networks that were trained without."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "circular"


@pytest.mark.parametrize("which", list(NETWORKS))
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        *[(way, kind) for way in (around, derived) for kind in LAYERS],
        (parametrized, nn.Conv2d),
        (circular, nn.Conv2d),
    ],
)
def test_a_layer_of_somebody_s_is_computed(
    which: str, change: Callable[[nn.Module, type[nn.Module]], None], kind: type[nn.Module]
) -> None:
    """Drawn from before as well: the change is noticed. In float32, to the rounding of some thirty layers."""
    torch.manual_seed(0)
    network, networks = awake(NETWORKS[which](), seed=0).eval().requires_grad_(False), ReadyNetworks()
    tokens = torch.randn(2, 5, 6) if which == "tokens" else None
    x, t_B, condition = torch.randn(2, 3, 8, 8), torch.full((2,), 30.0), Condition(tokens_BLD=tokens)

    def drawn() -> Tensor:
        ready = networks.of(network, precision="fp32")
        return ready(x, t_B, ready.prepare(condition, [30.0]))

    with torch.no_grad():
        before, plain = drawn(), network(x, t_B, condition)
        change(network, kind)
        after, changed = drawn(), network(x, t_B, condition)
    scale = changed.abs().max()
    assert (before - plain).abs().max() < 1e-4 * plain.abs().max()
    assert (after - changed).abs().max() < 1e-4 * scale
    if which == "tokens" or kind is not nn.LayerNorm:
        assert (changed - plain).abs().max() > 1e-2 * scale


def test_a_doubling_whose_edges_meet_trains_as_it_is() -> None:
    """Large enough to be folded, were it among zeros."""
    torch.manual_seed(0)
    block, x = Upsample(channels=4), torch.randn(1, 4, 32, 32)
    block.conv.padding_mode = "circular"
    torch.testing.assert_close(block(x), block.conv(doubled(x)), rtol=0, atol=0)
