"""Autoencoders with layers of somebody's own: adapters, pictures whose edges meet. Oracle: the codec as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from diffloom.inference import Compute
from diffloom.inference.prepared import prepared
from diffloom.kinds import ImageInfo
from diffloom_autoencoder import AutoencoderKL
from diffloom_autoencoder.blocks import Convolution

PART = AutoencoderKL(channels=(4, 8), norm_groups=2, blocks_per_level=1)


class Around(nn.Module):
    """What adapters do."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Tensor) -> Tensor:
        return 1.2 * self.layer(*inputs)  # type: ignore[no-any-return]


def around(codec: nn.Module, kind: type[nn.Module]) -> None:
    for part in list(codec.modules()):
        for name, layer in list(part.named_children()):
            if type(layer) is kind:
                setattr(part, name, Around(layer))


def circular(codec: nn.Module, kind: type[nn.Module]) -> None:
    for layer in codec.modules():
        if type(layer) is kind:
            layer.padding_mode = "circular"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (around, nn.Conv2d),
        (around, nn.GroupNorm),
        (around, Convolution),
        (circular, nn.Conv2d),
        (circular, Convolution),
    ],
)
@torch.no_grad()
def test_a_layer_of_somebody_s_is_computed(
    change: Callable[[nn.Module, type[nn.Module]], None],
    kind: type[nn.Module],
    scattered: Callable[[nn.Module], nn.Module],
) -> None:
    """Both ways, to float64's last digits."""
    torch.manual_seed(0)
    codec = scattered(PART.build(image=ImageInfo(16, 16, 3))).double()
    images = torch.randn(1, 3, 8, 8, dtype=torch.float64).tanh()
    before = codec.decode(codec.encode(images))  # type: ignore[operator]
    change(codec, kind)
    ready = prepared(codec, Compute(dtype=torch.float64))
    x_BCHW = codec.encode(images)  # type: ignore[operator]
    after = codec.decode(x_BCHW)  # type: ignore[operator]
    assert (after - before).abs().max() > 1e-3 * before.std()
    torch.testing.assert_close(ready.encode(images), x_BCHW, rtol=0, atol=1e-11)  # type: ignore[operator]
    torch.testing.assert_close(ready.decode(x_BCHW), after, rtol=0, atol=1e-11)  # type: ignore[operator]
