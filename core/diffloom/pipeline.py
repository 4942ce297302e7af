"""Assembled parts → samples: the Python API. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from diffloom.assembled import Assembled
from diffloom.inversion import Inversion, require_pictures
from diffloom.kinds import Correction, Guidance, Guide, Sampler, Spacing, Walk
from diffloom.output import Output
from diffloom.process import Denoised, Step
from diffloom.request import Request
from diffloom.seeds import Seed


class Pipeline(Assembled):
    """One model, and what people ask of it: samples, single predictions, the noise behind a picture."""

    def denoise(
        self,
        x_t: Tensor,
        t: float,
        *,
        guidance: float | str | Mapping[str, Any] | Guidance | Guide | None = None,
        negative: Mapping[str, Any] | None = None,
        **conditions: Any,
    ) -> Denoised:
        """What the model makes of x_t (B, C, H, W) at t, a table index: x₀ and ε, clipped and guided as `sample` is.

        `guidance=1.0` gives the plain conditional prediction. Conditions as in `sample`.
        """
        plan = Request(
            count=len(x_t), guidance=guidance, conditions=conditions, negative=negative or {}
        ).plan(self)
        (level, _) = self.schedule.levels([t])
        return plan.denoise(x_t, level)

    def sample(
        self,
        *,
        n: int | None = None,
        seed: Seed | list[Seed] = 0,
        steps: int | None = None,
        guidance: float | Sequence[float] | str | Mapping[str, Any] | Guidance | Guide | None = None,
        sampler: str | Mapping[str, Any] | Sampler | Walk | None = None,
        spacing: str | Mapping[str, Any] | Spacing | None = None,
        end: Literal["clean", "first"] | None = None,
        corrections: Sequence[str | Mapping[str, Any] | Correction] | None = None,
        negative: Mapping[str, Any] | None = None,
        also: Sequence[tuple[float, Mapping[str, Any]]] = (),
        start: Tensor | None = None,
        batch_size: int | None = None,
        on_step: Any = None,
        **conditions: Any,
    ) -> Output:
        """Draw samples.

        Conditions are named as the model's conditioners (`label=[3, 7]`): one value for all samples, or a list; left
        out, a condition is null. `n` is needed only where neither a list nor a seed list says how many. `seed=5` gives
        sample i the noise (5, i); a list of seeds or (seed, i) pairs names each. What is left None stands in the
        configuration's `sampling`; `guidance` may be one scale for each sample. `negative={"prompt": "blurry"}` is
        what guidance leads away from, in place of the null condition; `also=[(0.5, {"prompt": "in snow"})]` are further
        conditions with their weights, for guidance that follows several. `start` (n, C, H, W) is a point of the space
        at the noise of the first level, where the walk begins instead of at a draw. `batch_size` bounds memory and
        changes nothing else; `on_step(step)` is called after each step of each batch. Raises DiffloomError for values
        the model cannot use.
        """
        whole = Request(
            count=n,
            seed=seed,
            steps=steps,
            guidance=guidance,
            sampler=sampler,
            spacing=spacing,
            end=end,
            corrections=corrections,
            conditions=conditions,
            negative=negative or {},
            also=also,
            start_BCHW=start,
        ).plan(self)
        tensors = [self.decode(_arrival(part.stream(), on_step)).cpu() for part in whole.batches(batch_size)]
        return Output(tensor=torch.cat(tensors), recipe=whole.recipe)

    def stream(
        self,
        *,
        n: int | None = None,
        seed: Seed | list[Seed] = 0,
        steps: int | None = None,
        guidance: float | Sequence[float] | str | Mapping[str, Any] | Guidance | Guide | None = None,
        sampler: str | Mapping[str, Any] | Sampler | Walk | None = None,
        spacing: str | Mapping[str, Any] | Spacing | None = None,
        end: Literal["clean", "first"] | None = None,
        corrections: Sequence[str | Mapping[str, Any] | Correction] | None = None,
        negative: Mapping[str, Any] | None = None,
        also: Sequence[tuple[float, Mapping[str, Any]]] = (),
        start: Tensor | None = None,
        **conditions: Any,
    ) -> Iterator[Step]:
        """The steps of `sample`, one by one: t, x_t, predicted x₀, in the model's space. Leave the loop to cancel."""
        return (
            Request(
                count=n,
                seed=seed,
                steps=steps,
                guidance=guidance,
                sampler=sampler,
                spacing=spacing,
                end=end,
                corrections=corrections,
                conditions=conditions,
                negative=negative or {},
                also=also,
                start_BCHW=start,
            )
            .plan(self)
            .stream()
        )

    @torch.no_grad()
    def invert(
        self,
        images: Tensor,
        *,
        steps: int | None = None,
        guidance: float | Sequence[float] | str | Mapping[str, Any] | Guidance | Guide | None = None,
        spacing: str | Mapping[str, Any] | Spacing | None = None,
        negative: Mapping[str, Any] | None = None,
        fixed_point_iterations: int = 100,
        tolerance: float = 1e-5,
        batch_size: int | None = None,
        **conditions: Any,
    ) -> Tensor:
        """Where `sample(start=..., sampler="ddim")` with the same arguments begins to draw these images again.

        `images` are (n, C, H, W) in [-1, 1]; the result is (n, c, h, w) in the space. Each row of a step is repeated
        until it moves by less than `tolerance`; `fixed_point_iterations` 1 is the usual, inexact inversion. Raises
        DiffloomError where a step does not converge, and where the first level has no signal: see
        `diffloom.inversion.Inversion`.
        """
        require_pictures(images, self.document.image.info)
        plan = Request(
            count=None,
            sampler=Inversion(iterations=fixed_point_iterations, tolerance=tolerance),
            steps=steps,
            guidance=guidance,
            spacing=spacing,
            conditions=conditions,
            negative=negative or {},
            start_BCHW=self.encode(images),
        ).plan(self)
        return torch.cat([_arrival(part.stream()) for part in plan.batches(batch_size)])


def _arrival(steps: Iterator[Step], on_step: Callable[[Step], object] | None = None) -> Tensor:
    """Where a walk ends, (B, C, H, W), each step told on the way."""
    for step in steps:
        if on_step is not None:
            on_step(step)
    return step.following_BCHW
