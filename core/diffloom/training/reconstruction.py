"""Training an autoencoder: it learns to give pictures back, beside criteria that may learn themselves.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from PIL.Image import Image
from torch import Tensor, nn

import diffloom
from diffloom import config, pictures
from diffloom.building import built
from diffloom.config import AutoencoderDocument
from diffloom.errors import ConfigError, Problem
from diffloom.kinds import Codec, Criterion, Examples, Judge, TrainableCodec
from diffloom.nn import key_dropout
from diffloom.process import Draws, Step, keyed_generator
from diffloom.training.feed import Batch
from diffloom.training.readable import readable
from diffloom.training.task import Losses

SHOWN, COLUMNS = 16, 8
"""How many pictures a preview holds, and how many stand side by side."""


@dataclass(frozen=True, kw_only=True)
class ReconstructionTask:
    """An autoencoder under training."""

    document: AutoencoderDocument
    module: nn.ModuleDict
    """`space` and `criteria`."""
    examples: Examples
    seed: int
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    """Entered around the autoencoder's calls; criteria judge in float32."""
    channels_last: bool = False
    """Whether pictures enter the autoencoder pixel by pixel."""

    @property
    def beside(self) -> nn.ModuleDict:
        return nn.ModuleDict()

    @property
    def frozen(self) -> frozenset[str]:
        return frozenset()

    @property
    def device(self) -> torch.device:
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    @property
    def conditions(self) -> tuple[str, ...]:
        return ()

    @property
    def axis(self) -> None:
        return None

    def losses(self, batch: Batch, draws: Draws, *, step: int) -> Losses:
        """Σ weight·criterion + regularisation / (C·H·W): the loss of latent-diffusion's autoencoders (Rombach et al.
        2022, eq. 25), divided by how many values a picture has, so that it does not grow with its size."""
        key_dropout(self.module, draws)
        layout = torch.channels_last if self.channels_last else torch.preserve_format
        images_BCHW = batch.images_BCHW.to(self.device, non_blocking=True).to(memory_format=layout)
        with self.autocast():
            made = cast(TrainableCodec, self.module["space"]).reconstruct(images_BCHW, draws=draws)
        made = replace(
            made,
            reconstructed_BCHW=made.reconstructed_BCHW.to(images_BCHW.dtype),
            regularisation_B=made.regularisation_B.to(images_BCHW.dtype),
        )
        share = self.document.autoencoder.regularisation / images_BCHW[0].numel()
        each_B = share * made.regularisation_B
        so_far = torch.zeros((), device=self.device)
        figures = {"regularisation": made.regularisation_B.detach().mean()}
        for name, criterion, judge in self._criteria():
            is_trained = any(weight.requires_grad for weight in judge.parameters())
            if step < criterion.start_step:
                costs_B = own_B = each_B.new_zeros(())
            else:
                costs_B, own_B = cast(Judge, judge)(made, so_far=so_far, step=step)
                each_B = each_B + criterion.weight * costs_B + own_B
                so_far = so_far + criterion.weight * costs_B.mean()
            figures[name] = costs_B.detach().mean()
            if is_trained:
                figures[f"{name}_own"] = own_B.detach().mean()
        return Losses(each_B, figures)

    def observe(self, draws: Draws, each_B: Tensor) -> None:
        """Nothing is learned of past losses."""

    def _criteria(self) -> Iterator[tuple[str, Criterion, nn.Module]]:
        """Each criterion with its judge, by a name of its own: `lp`, or `lp_2` for the second of them."""
        met: list[str] = []
        judges = cast(nn.ModuleList, self.module["criteria"])
        for criterion, judge in zip(self.document.autoencoder.criteria, judges, strict=True):
            met.append(criterion.name)
            count = met.count(criterion.name)
            yield criterion.name if count == 1 else f"{criterion.name}_{count}", criterion, judge

    @torch.no_grad()
    def preview(self, on_step: Callable[[Step], None]) -> tuple[Image, dict[str, Any]]:
        """Originals above their reconstructions; `on_step` has nothing to hear."""
        self.module.eval()
        codec = cast(Codec, self.module["space"])
        indices = [index % len(self.examples) for index in range(SHOWN)]
        images_BCHW = torch.stack([self._picture(index) for index in indices]).to(self.device)
        made_BCHW = codec.decode(codec.encode(images_BCHW))
        originals, reconstructions = pictures.images(images_BCHW), pictures.images(made_BCHW)
        rows = [
            tile
            for start in range(0, SHOWN, COLUMNS)
            for row in (originals, reconstructions)
            for tile in row[start : start + COLUMNS]
        ]
        recipe = {
            "diffloom": diffloom.__version__,
            "config": config.digest(self.document),
            "reconstructed": indices,
        }
        return pictures.grid(rows, columns=COLUMNS, tile_px=64), recipe

    def _picture(self, index: int) -> Tensor:
        return torch.from_numpy(readable(self.examples, index, seed=self.seed, purpose="preview").image_CHW)


def assemble_autoencoder(document: AutoencoderDocument, *, seed: int) -> nn.ModuleDict:
    """The space and its criteria with fresh weights; equal seeds give equal weights.

    Raises ConfigError for a space that cannot be trained, and for criteria that cannot judge such pictures.
    """
    image = document.image.info
    initial = keyed_generator(seed, 0, 0, "weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(initial.integers(2**63)))
        space = built("space", document.space.build, image=image)
        if not isinstance(space, TrainableCodec):
            raise ConfigError(
                [
                    Problem(
                        "space",
                        f"{document.space.canonical} has nothing to train; choose an autoencoder, such as "
                        "autoencoder_kl, or remove `autoencoder:` for a diffusion model in this space",
                    )
                ]
            )
        criteria = [
            built(f"autoencoder.criteria[{index}]", criterion.build, image=image)
            for index, criterion in enumerate(document.autoencoder.criteria)
        ]
    return nn.ModuleDict({"space": space, "criteria": nn.ModuleList(criteria)})
