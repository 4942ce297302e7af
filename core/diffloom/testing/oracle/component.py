"""Component `oracle`: what a YAML file says of the exact denoiser. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from diffloom.kinds import Backbone, ConditionInfo, SpaceInfo

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from torch import Tensor

    from diffloom.testing.oracle.mixture import GaussianMixture
    from diffloom.testing.oracle.network import OracleNetwork

Modes = Annotated[tuple[float, ...], Field(min_length=1)]
Shares = Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]


class Oracle(Backbone):
    """The exact denoiser of a Gaussian mixture: a model that needs no training and has a known answer.

    Each class is a mixture of its own, and the null class all of them together; without class ids there is one
    class. It computes E[x₀ | x_t] in float64 and answers with whatever the model's prediction asks for. With
    `learn_variance` it gives the reverse step from time to time its true variance, and with `self_conditioning` it
    takes an estimate of x₀ that it has no use for. The means are its weights: a run may train them.
    """

    name = "oracle"

    modes: PositiveInt | None = None
    """Gaussians in each class; null makes two, or as many as `means` has."""
    std: PositiveFloat = 0.1
    """Standard deviation of every pixel about its Gaussian's mean."""
    spread: PositiveFloat = 0.4
    """Root mean square of the mean pictures, which are smooth and random."""
    seed: NonNegativeInt = 0
    """Which random mean pictures."""
    means: Annotated[tuple[Modes, ...], Field(min_length=1)] | None = None
    """For each class the mean of each of its Gaussians, a picture of this one value; null draws pictures."""
    shares: Annotated[tuple[Shares, ...], Field(min_length=1)] | None = None
    """For each class the weight of each of its Gaussians, relative to all others; null makes them equal."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        # the kit has five classes, the null class among them, or none
        return (cls(), cls(modes=1, std=0.5, spread=1.0, seed=7))

    @model_validator(mode="after")
    def _fields_fit(self) -> Self:
        if self.means is not None and self.modes is not None:
            raise ValueError("means says how many modes there are; leave modes out")
        if self.means is not None and self.shares is not None and _sizes(self.means) != _sizes(self.shares):
            raise ValueError(
                f"shares for {_sizes(self.shares)} modes do not fit means of {_sizes(self.means)}; "
                "give one share for each mean"
            )
        return self

    def check(self, *, space: SpaceInfo, condition: ConditionInfo) -> None:
        if condition.vector or condition.tokens or condition.concat:
            raise ValueError(
                "the oracle knows classes and no other condition; take the conditioner class_label, or none"
            )
        classes = class_count(condition)
        for field, given in (("means", self.means), ("shares", self.shares)):
            if given is not None and len(given) != classes:
                raise ValueError(f"{field} describes {len(given)} classes, and the model has {classes}")
        if self.means is None and self.shares is not None:
            wrong = [size for size in _sizes(self.shares) if size != (self.modes or 2)]
            if wrong:
                raise ValueError(f"shares for {wrong[0]} modes do not fit classes of {self.modes or 2} modes")

    def mixture(self, *, space: SpaceInfo, condition: ConditionInfo) -> GaussianMixture:
        """The data that it denoises, in float64 on the CPU. Raises ValueError for conditions it does not know."""
        import torch

        from diffloom.testing.oracle.mixture import GaussianMixture

        self.check(space=space, condition=condition)
        classes = class_count(condition)
        sizes = _sizes(self.means) if self.means else (self.modes or 2,) * classes
        shares = [share for group in self.shares for share in group] if self.shares else [1.0] * sum(sizes)
        with torch.device("cpu"):  # whatever the network is built on
            weights_J = torch.tensor(shares, dtype=torch.float64)
            return GaussianMixture(
                means_JCHW=self._pictures(sum(sizes), space.shape)
                .float()
                .double(),  # as a network can hold them
                stds_J=torch.full((sum(sizes),), self.std, dtype=torch.float64),
                weights_J=weights_J / weights_J.sum(),
                classes_J=torch.arange(classes).repeat_interleave(torch.tensor(sizes)),
            )

    def _pictures(self, count: int, shape: tuple[int, int, int]) -> Tensor:
        """The means, (J, C, H, W)."""
        import torch

        from diffloom.testing.oracle.pictures import smooth_pictures

        if self.means is None:
            return smooth_pictures(count, shape, seed=self.seed, spread=self.spread)
        values_J = torch.tensor([mean for modes in self.means for mean in modes], dtype=torch.float64)
        return values_J.view(-1, 1, 1, 1).expand(-1, *shape)

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> OracleNetwork:
        """An `OracleNetwork`. Raises ValueError for conditions it does not know."""
        from diffloom.testing.oracle.network import OracleNetwork

        return OracleNetwork(
            mixture=self.mixture(space=space, condition=condition), learn_variance=self.learn_variance
        )


def class_count(condition: ConditionInfo) -> int:
    """The classes beside the null class, which is the last; one where there are no class ids."""
    return max(condition.classes - 1, 1)


def _sizes(groups: tuple[tuple[float, ...], ...]) -> tuple[int, ...]:
    return tuple(len(group) for group in groups)
