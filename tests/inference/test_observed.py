"""Networks that someone looks into. The oracle is what the onlooker sees."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.errors import DiffloomError
from diffloom.inference import ReadyNetworks, chosen_compute

X_BCHW = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
T_B = torch.tensor([300.0])


def test_a_hook_sees_every_call_of_the_module_that_it_was_put_on(unet: Callable[[int], nn.Module]) -> None:
    network, networks = unet(0), ReadyNetworks()
    seen: list[nn.Module] = []
    assert networks.of(network, precision="auto").module is not network
    handle = network.get_submodule("trunk.middle").register_forward_hook(lambda m, *_: seen.append(m))
    observed = networks.of(network, precision="auto")
    assert observed.module is network
    with torch.no_grad():
        observed(X_BCHW, T_B, Condition())
    assert seen == [network.get_submodule("trunk.middle")]
    handle.remove()
    assert networks.of(network, precision="auto").module is not network


def test_in_another_precision_the_same_hook_is_called_for_the_copy(unet: Callable[[int], nn.Module]) -> None:
    class Onlooker:
        seen: Tensor | None = None

        def look(self, module: nn.Module, inputs: object, output: Tensor) -> None:
            self.seen = output

    network, onlooker = unet(0), Onlooker()
    network.get_submodule("trunk.middle").register_forward_hook(onlooker.look)
    with torch.no_grad():
        ReadyNetworks().of(network, precision="bf16")(X_BCHW, T_B, Condition())
    assert onlooker.seen is not None, "the onlooker itself, and no copy of it"
    assert onlooker.seen.dtype == torch.bfloat16


def test_a_replaced_method_is_called(unet: Callable[[int], nn.Module]) -> None:
    network = unet(0)
    middle = network.get_submodule("trunk.middle")
    network.trunk.middle.forward = lambda x_BCHW, signal: torch.zeros_like(x_BCHW)  # type: ignore[union-attr]
    assert chosen_compute("auto", network).channels_last is False
    assert ReadyNetworks().of(network, precision="auto").module is network
    assert middle is network.get_submodule("trunk.middle")


def test_a_replaced_method_cannot_follow_into_another_precision(unet: Callable[[int], nn.Module]) -> None:
    network = unet(0)
    network.forward = lambda *_: X_BCHW  # type: ignore[method-assign]
    with pytest.raises(DiffloomError, match=r"sampling\.precision: bf16 needs a copy .* forward .* replaced"):
        ReadyNetworks().of(network, precision="bf16")
