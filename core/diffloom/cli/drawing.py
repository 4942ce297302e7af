"""What `diffloom sample` does once it knows what to draw: a sheet, a collection of single images, a film."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from diffloom.cli.progress import ImageProgress, image_progress
from diffloom.drawing import Share
from diffloom.drawing.batch_size import suited_batch_size
from diffloom.nn.compilation import told_compiling
from diffloom.output import recipe_of_sample
from diffloom.pictures import film_strip, save_png
from diffloom.pipeline import Pipeline
from diffloom.request import Request
from diffloom.sampling import SamplingPlan
from diffloom.training.interrupt import Interrupt, Stopped


@dataclass
class Drawing:
    """One order, seen from one process."""

    pipe: Pipeline
    count: int | None
    asked: Mapping[str, Any]
    """What `Pipeline.sample` is given."""
    batch_size: int | None
    share: Share

    @cached_property
    def plan(self) -> SamplingPlan:
        """All of it, checked."""
        return Request.of(self.asked, count=self.count).plan(self.pipe)

    def sheet(self, path: Path) -> str:
        """Draw all on one sheet; returns what to tell."""
        size = self.batch_size or suited_batch_size(self.plan)
        with self._progress() as progress:
            out = self.pipe.sample(n=self.count, batch_size=size, on_step=progress.on_step, **self.asked)
        image = out.images[0] if len(out.images) == 1 else out.grid()
        save_png(image, path, recipe=out.recipe)
        return str(path)

    def collection(self, path: Path) -> str:
        """Draw what is missing of a folder or an archive; returns what to tell, of several processes one alone.

        Raises Stopped where a signal came before all is there.
        """
        with Interrupt() as interrupt, self._progress() as progress:
            is_whole = self.pipe.sample_to(
                path,
                n=self.count,
                batch_size=self.batch_size,
                share=self.share,
                on_step=progress.on_step,
                on_images=progress.on_images,
                stop=lambda: interrupt.signal_number is not None,
                **self.asked,
            )
        if is_whole:
            return f"{path}{'' if path.suffix else '/'} ({len(self.plan.keys)} images)"
        if interrupt.signal_number is not None:
            raise Stopped(
                signal_number=interrupt.signal_number,
                told=f"{path}: stopped after {progress.whole} of {len(self.plan.keys)} images",
            )
        return ""

    def film(self, path: Path) -> str:
        """The first sample's denoising; returns what to tell."""
        first = next(self.plan.batches(1))
        strip = film_strip(first.stream(), decode=self.pipe.decode)
        save_png(strip, path, recipe=recipe_of_sample(first.recipe, 0))
        return str(path)

    @contextmanager
    def _progress(self) -> Iterator[ImageProgress]:
        levels = self.pipe.levels(self.plan.section)
        shown = image_progress(
            "sampling",
            images=len(range(self.share.index, len(self.plan.keys), self.share.count)),
            steps=len(levels) - 1,
            shown=self.share.is_main,
        )
        compiles = self.plan.section.compile
        with shown as progress, told_compiling(progress.compiling) if compiles else nullcontext():
            yield progress
