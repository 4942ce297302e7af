"""The guidances a YAML file can name. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PositiveFloat, model_validator

from diffloom.kinds import ConditionInfo, Guidance, SpaceInfo, SteeredGuidance

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from diffloom_guidance.apg import APG
    from diffloom_guidance.cfg_zero import CFGZero
    from diffloom_guidance.classifier_free import ClassifierFree
    from diffloom_guidance.combined import Combined
    from diffloom_guidance.perturbed_attention import PerturbedAttention


class ClassifierFreeGuidance(SteeredGuidance):
    """Classifier-free guidance (Ho & Salimans 2022): u + scale·(c − u), in one batched call.

    Follows further weighted conditions too (Liu et al. 2022).
    """

    name = "classifier_free"
    equation: ClassVar[str] = "x̂₀ = u + {scale}·(x̂₀ − u), u under the null condition"

    @property
    def weighs(self) -> bool:
        return True

    def build(self) -> ClassifierFree:
        """The guidance."""
        from diffloom_guidance.classifier_free import ClassifierFree

        return ClassifierFree(strength=self.strength)

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(scale=2.0), cls(scale=3.0, interval=(0.1, 10.0), profile="cosine"))


class CFGZeroGuidance(SteeredGuidance):
    """CFG-Zero* (Fan et al. 2025): the unconditional velocity scaled to fit, and none at first. Made for flows."""

    name = "cfg_zero"

    zero_share: Annotated[float, Field(ge=0, le=1)] = 0.04
    """Share of the schedule's times, from the noisiest, at which the velocity ε − x₀ is set to 0; 0 sets none."""

    def build(self) -> CFGZero:
        """The guidance."""
        from diffloom_guidance.cfg_zero import CFGZero

        return CFGZero(strength=self.strength, zero_share=self.zero_share)

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(scale=2.0), cls(scale=3.0, zero_share=0.0))


class AdaptiveProjectedGuidance(SteeredGuidance):
    """Adaptive projected guidance, APG (Sadat et al. 2024): classifier-free guidance that does not burn colours in."""

    name = "apg"

    eta: float = 0.0
    """How much of the direction's part along the prediction stays: 0 none, 1 all of it."""
    threshold: PositiveFloat | None = None
    """Largest norm of the direction, over all pixels and channels of a sample; null does not shorten it."""
    momentum: Annotated[float, Field(gt=-1, lt=1)] = 0.0
    """Share of the earlier directions that is added to each; the paper's are below 0, between −0.75 and −0.25."""

    def build(self) -> APG:
        """The guidance."""
        from diffloom_guidance.apg import APG

        return APG(strength=self.strength, eta=self.eta, threshold=self.threshold, momentum=self.momentum)

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(scale=2.0), cls(scale=3.0, eta=0.5, threshold=0.5, momentum=-0.5))


class PerturbedAttentionGuidance(SteeredGuidance):
    """Perturbed-attention guidance, PAG (Ahn et al. 2024): away from the network with blind self-attention.

    Needs no condition. The paper's scale is this one less 1.
    """

    name = "perturbed_attention"
    equation: ClassVar[str] = "x̂₀ = b + {scale}·(x̂₀ − b), b with blind self-attention"

    layers: Annotated[tuple[str, ...], Field(min_length=1)] = ("*.middle.*",)
    """The self-attentions that are perturbed, by their names in the network; `*` stands for anything."""

    @property
    def compares(self) -> bool:
        return False

    def build(self) -> PerturbedAttention:
        """The guidance."""
        from diffloom_guidance.perturbed_attention import PerturbedAttention

        return PerturbedAttention(strength=self.strength, layers=self.layers)

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(scale=2.0, layers=("*",)),)


class CombinedGuidance(Guidance):
    """Several guidances at once: their shifts of x₀ add up."""

    name = "combined"

    parts: Annotated[tuple[Guidance, ...], Field(min_length=1)]
    """The guidances, each with its own scale."""

    @model_validator(mode="after")
    def _counts_agree(self) -> Self:
        counts = {count for part in self.parts if (count := part.samples) is not None}
        if len(counts) > 1:
            raise ValueError(
                f"parts are for {' and '.join(map(str, sorted(counts)))} samples; give as many scales"
            )
        return self

    @property
    def compares(self) -> bool:
        return any(part.compares and not part.neutral for part in self.parts)

    @property
    def weighs(self) -> bool:
        return any(part.weighs for part in self.parts)

    @property
    def neutral(self) -> bool:
        return all(part.neutral for part in self.parts)

    @property
    def samples(self) -> int | None:
        return next((count for part in self.parts if (count := part.samples) is not None), None)

    def rows(self, rows: slice) -> Self:
        return self.model_copy(update={"parts": tuple(part.rows(rows) for part in self.parts)})

    def check(self, *, space: SpaceInfo, condition: ConditionInfo) -> None:
        for part in self.parts:
            part.check(space=space, condition=condition)

    def build(self) -> Combined:
        """The guidance."""
        from diffloom_guidance.combined import Combined

        return Combined(guides=[part.build() for part in self.parts])

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        parts = (ClassifierFreeGuidance(scale=3.0), PerturbedAttentionGuidance(scale=2.0, layers=("*",)))
        return (cls(parts=parts),)
