"""Assembled parts → samples: the Python API. Legend: B batch, C channels, H height, W width.

What draws is imported when something is drawn: models are built, converted and trained without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from diffloom import drawing
from diffloom.assembled import Assembled

if TYPE_CHECKING:
    from diffloom.inference import Precision
    from diffloom.kinds import Caching, Correction, Guidance, Guide, Sampler, Spacing, Walk
    from diffloom.output import Output
    from diffloom.process import Denoised, Step
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
        from diffloom.request import Request

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
        precision: Precision | None = None,
        compile: bool | None = None,
        caching: str | Mapping[str, Any] | Caching | None = None,
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
        at the noise of the first level, where the walk begins instead of at a draw. `precision`, `compile` and
        `caching` are about speed (docs/speed.md). `batch_size` bounds memory and changes nothing else; `on_step(step)`
        is called after each step of each batch. Raises DiffloomError for values the model cannot use.
        """
        from diffloom.output import Output
        from diffloom.request import Request

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
            precision=precision,
            compile=compile,
            caching=caching,
        ).plan(self)
        parts = drawing.drawn(
            whole, walking=drawing.walking(batch_size), decoding=drawing.decoding(), on_step=on_step
        )
        return Output(tensor=torch.cat([images_BCHW for _, images_BCHW in parts]), recipe=whole.recipe)

    def batches(
        self, *, n: int | None = None, batch_size: int | None = None, on_step: Any = None, **asked: Any
    ) -> Iterator[Output]:
        """The samples of `sample`, batch by batch, so that no more than one batch of them is ever in memory.

        `asked` is everything else that `sample` takes. Without a `batch_size` it is chosen by the memory that is
        available; a batch that proves too large comes in parts. What is wrong is told before the first is drawn.
        """
        from diffloom.output import Output
        from diffloom.request import Request

        plan = Request.of(asked, count=n).plan(self)
        size = batch_size or drawing.suited_batch_size(plan)
        parts = drawing.drawn(
            plan, walking=drawing.walking(size), decoding=drawing.decoding(), on_step=on_step
        )
        return (Output(tensor=images_BCHW, recipe=part.recipe) for part, images_BCHW in parts)

    def sample_to(
        self,
        target: str | Path,
        *,
        n: int | None = None,
        batch_size: int | None = None,
        share: drawing.Share | None = None,
        on_step: Any = None,
        on_images: Callable[[int, bool], object] | None = None,
        stop: Callable[[], bool] = lambda: False,
        **asked: Any,
    ) -> bool:
        """Draw the samples of `sample`, which `asked` is for, into a folder of PNG files or an .npz file of all.

        Memory stays that of a few batches, however many samples. Called again with the same arguments it draws what is
        missing; a kill at any moment costs the batches in flight. Where a launcher has begun several processes, each
        calls this and draws its `share`. `on_images(count, drawn)` is told of images that are there; `stop()` is asked
        after each batch. Returns whether all are there, which of several processes the last one learns. Raises
        DiffloomError, also for a target that was begun with other arguments.
        """
        from diffloom.request import Request

        plan = Request.of(asked, count=n).plan(self)
        return drawing.Collecting(
            plan=plan,
            collection=drawing.collection_at(Path(target)),
            batch_size=batch_size or drawing.suited_batch_size(plan),
            share=share or drawing.Share.here(),
            on_step=on_step,
            on_images=on_images,
            stop=stop,
        ).run()

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
        precision: Precision | None = None,
        compile: bool | None = None,
        caching: str | Mapping[str, Any] | Caching | None = None,
        **conditions: Any,
    ) -> Iterator[Step]:
        """The steps of `sample`, one by one: t, x_t, predicted x₀, in the model's space. Leave the loop to cancel."""
        from diffloom.request import Request

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
                precision=precision,
                compile=compile,
                caching=caching,
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
        from diffloom.inversion import Inversion, require_pictures
        from diffloom.request import Request

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
        parts = drawing.walking(batch_size).over(plan, lambda part: drawing.arrived(part.stream()))
        return torch.cat([x_BCHW for _, x_BCHW in parts])
