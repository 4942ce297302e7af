"""The corrections a YAML file can name. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveFloat

from diffloom.kinds import Correction

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from diffloom_guidance.dynamic_threshold import DynamicThreshold
    from diffloom_guidance.rescale import Rescale


class RescaleCorrection(Correction):
    """Rescaled guidance (Lin et al. 2023): the guided prediction with the spread of the plain conditional one."""

    name = "rescale"

    factor: Annotated[float, Field(ge=0, le=1)] = 0.7
    """How much of the rescaled prediction goes into the result; the rest stays as guided."""
    space: Literal["x0", "epsilon", "v", "flow"]
    """What is rescaled. Others rescale the network's output: for their pictures, name the model's own prediction."""

    def build(self) -> Rescale:
        """The correction."""
        from diffloom_guidance.rescale import Rescale

        return Rescale(factor=self.factor, space=self.space)

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(space="x0"), cls(space="epsilon"), cls(space="v", factor=1.0), cls(space="flow"))


class DynamicThresholdCorrection(Correction):
    """Dynamic thresholding (Saharia et al. 2022): x₀ clamped at a percentile of its own values and brought inside."""

    name = "dynamic_threshold"

    percentile: Annotated[float, Field(gt=0, le=100)] = 99.5
    """Of the absolute values of all pixels and channels of a sample."""
    limit: PositiveFloat = 1.0
    """The data's own range: a sample that keeps to ±limit stays as it is. 1.0 suits pixels."""

    def build(self) -> DynamicThreshold:
        """The correction."""
        from diffloom_guidance.dynamic_threshold import DynamicThreshold

        return DynamicThreshold(percentile=self.percentile, limit=self.limit)
