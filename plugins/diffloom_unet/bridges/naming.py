"""How one program names the layers of a U-Net."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from diffloom.bridge import SAME, Change, Entry
from diffloom_unet.bridges.walk import Place, places


@dataclass(frozen=True)
class Layer:
    """Theirs that hold what one layer of ours holds."""

    theirs: tuple[str, ...]
    """Their layers' names, in the order that the changes take them."""
    weight: Change = SAME
    bias: Change = SAME


@dataclass(frozen=True)
class Naming:
    """Their names of everything in a U-Net."""

    outside: Mapping[str, Layer]
    """The layers outside the trunk, by ours."""
    place: Callable[[Place], str]
    """Their name of a part of the trunk."""
    layers: Callable[[nn.Module], Mapping[str, Layer]]
    """The layers of such a part, by ours, both named from the part on."""

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        """Every tensor of the module, with theirs."""
        known = {name: (layer, "") for name, layer in self.outside.items()}
        for place in places(module):
            prefix = f"{self.place(place)}."
            for name, layer in self.layers(place.part).items():
                known[f"{place.name}.{name}"] = layer, prefix
        for ours in module.state_dict():
            name, _, leaf = ours.rpartition(".")
            layer, prefix = known[name]
            theirs = tuple(f"{prefix}{their}.{leaf}" for their in layer.theirs)
            yield Entry(ours, theirs, layer.bias if leaf == "bias" else layer.weight)
