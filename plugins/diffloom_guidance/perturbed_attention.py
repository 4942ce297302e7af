"""Perturbed-attention guidance. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from diffloom.nn import Attention, attending, identity_attention, self_attentions
from diffloom.process import Aims, Denoised, Level, Model, Strength, View


class PerturbedAttention:
    """Away from the same network with blind self-attention (Ahn et al. 2024): c + (scale − 1)·(c − ĉ).

    In the layers chosen every pixel attends to itself alone. The paper's scale s, and diffusers', is ours less 1. It
    needs no null condition, and works for unconditional models.
    """

    def __init__(self, *, strength: Strength, layers: Sequence[str]) -> None:
        self.strength = strength
        self.layers = tuple(layers)

    def __call__(self, aims: Aims, model: Model) -> tuple[PerturbedAttentionPull]:
        """The guidance of one walk. Raises ValueError for a network in which these layers are not found."""
        return (PerturbedAttentionPull(self.strength, self._chosen(model.backbone), aims, model),)

    def _chosen(self, backbone: nn.Module) -> list[Attention]:
        """The layers, each pattern naming at least one."""
        known = self_attentions(backbone)
        if not known:
            raise ValueError(
                f"perturbed_attention perturbs the self-attention of diffloom.nn, and {type(backbone).__name__} has "
                "none; take another guidance"
            )
        for pattern in self.layers:
            if not any(fnmatchcase(name, pattern) for name in known):
                raise ValueError(
                    f"perturbed_attention.layers: {pattern!r} names no self-attention of this network, which has "
                    f"{', '.join(known)}"
                )
        return [
            layer
            for name, layer in known.items()
            if any(fnmatchcase(name, pattern) for pattern in self.layers)
        ]


class PerturbedAttentionPull:
    """Away from what the network makes of x_t when its pixels do not see each other."""

    def __init__(self, strength: Strength, layers: Sequence[Attention], aims: Aims, model: Model) -> None:
        self.strength = strength
        self.axis = model.schedule.axis
        own = model.under(aims.condition)

        def perturbed(x_BCHW: Tensor, level: Level) -> Denoised:
            with attending(layers, identity_attention):
                return own(x_BCHW, level)

        self.views = (View(aims.condition, perturbed),)

    def active(self, level: Level) -> bool:
        """In the interval, unless the scale is 1."""
        return self.strength.within(level) and not self.strength.neutral

    def weights(self, level: Level, like_BCHW: Tensor) -> list[Tensor | float]:
        """−(scale − 1), of ĉ."""
        return [-self.strength.excess(level, self.axis, like_BCHW)]

    def shift(self, x_t_BCHW: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor:
        """(scale − 1)·(c − ĉ)."""
        (blind,) = seen
        return self.strength.excess(level, self.axis, plain.x0_BCHW) * (plain.x0_BCHW - blind.x0_BCHW)
