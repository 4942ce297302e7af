"""Component `autoguidance`. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from diffloom.kinds import SteeredGuidance

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from diffloom_guidance.autoguidance import AutoGuide


class AutoGuidance(SteeredGuidance):
    """Autoguidance (Karras et al. 2024): away from a weaker model of the same data. Needs no null condition."""

    name = "autoguidance"
    equation: ClassVar[str] = "x̂₀ = w + {scale}·(x̂₀ − w), w by the weaker model"

    weights: str
    """The weaker model: a run folder or checkpoint, or anything else that `diffloom sample` takes. It is read once."""

    @property
    def compares(self) -> bool:
        return False

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        from diffloom.testing import save_guided_model

        return (cls(scale=2.0, weights=save_guided_model(folder / "weaker.safetensors")),)

    def digests(self) -> dict[str, str | None]:
        """The weaker model's."""
        from diffloom_guidance.loading import weaker_model

        return {self.weights: weaker_model(self.weights).weights_digest}

    def build(self) -> AutoGuide:
        """The guidance. Raises CheckpointError for weights that cannot be read."""
        from diffloom_guidance.autoguidance import AutoGuide
        from diffloom_guidance.loading import weaker_model

        return AutoGuide(weaker=weaker_model(self.weights), strength=self.strength)
