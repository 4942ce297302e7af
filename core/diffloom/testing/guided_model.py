"""The model whose guidance the kit examines: small, conditional, with self-attention; untrained, as laws need no more.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch

from diffloom import config
from diffloom.assembly import assemble
from diffloom.checkpoint import save_checkpoint
from diffloom.condition import Condition
from diffloom.conditioning import Raw
from diffloom.pipeline import Pipeline
from diffloom.plugins import load_registry
from diffloom.process import Aims, Denoised, Level, Model, denoiser, under
from diffloom.testing.closed_forms import normal

DOCUMENT = {
    "image": {"size": 4, "channels": 2},
    "conditioners": {"label": {"type": "class_label", "classes": 3, "dropout": 0.1}},
    "backbone": {
        "type": "unet",
        "channels": [8],
        "blocks_per_level": 1,
        "norm_groups": 2,
        "attention_resolutions": [],
        "learn_variance": True,
    },
    "schedule": "linear",
    "prediction": "v",
    "variance": "learned_range",
    "sampling": {"sampler": "ddim", "steps": 5},
}
ROWS: Raw = {"label": [0, 1, 2]}
OTHERS: Raw = {"label": [2, 0, 1]}


def guided_model(*, seed: int = 0) -> Pipeline:
    """The model in float64, equal for equal seeds, with weights everywhere, also where networks begin with zeros."""
    registry = load_registry()
    document = config.load(DOCUMENT, registry=registry).document
    pipeline = assemble(config.require_diffusion(document, place=""), seed=seed, registry=registry)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in pipeline.module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    pipeline.module.double().eval()
    return pipeline


def save_guided_model(path: Path, *, seed: int = 1) -> str:
    """A checkpoint of a model like the one that is guided, for a guidance that reads a second one; its path."""
    pipeline = guided_model(seed=seed)
    text = config.to_yaml(pipeline.document, pipeline.registry)
    state = pipeline.module.state_dict()
    groups = {"frozen": {}, "weights": state, "ema": state}
    save_checkpoint(path, groups, step=0, config=text)
    return str(path)


class Scene:
    """A walk's surroundings in this model, for some of its samples; counts what is asked of the model."""

    def __init__(
        self,
        *,
        rows: slice = slice(None),
        label: Raw = ROWS,
        null: Raw | None = None,
        others: tuple[tuple[float, Raw], ...] = (),
    ) -> None:
        self.pipeline = _shared()
        self.conditions = 0
        """How often a condition was made known to the model."""
        conditioning, device = self.pipeline.conditioning, torch.device("cpu")

        def chosen(raw: Raw) -> Raw:
            return {name: values[rows] for name, values in raw.items()}

        asked = chosen(label)
        self.aims = Aims(
            condition=conditioning.encode(asked, device=device),
            null=conditioning.opposite(asked, {} if null is None else chosen(null), device=device),
            others=tuple((weight, conditioning.encode(chosen(raw), device=device)) for weight, raw in others),
            raw=asked,
        )
        pipeline = self.pipeline
        plain = denoiser(pipeline.network, pipeline.prediction, learned_variance=True)
        self.model = Model(
            under=under(torch.no_grad()(plain), self._counted),
            backbone=self.pipeline.backbone,
            schedule=self.pipeline.schedule,
            space=self.pipeline.module["space"],
            space_shape=self.pipeline.document.space_info.shape,
            conditioners=self.pipeline.document.conditioners,
        )
        self.x_BCHW = normal((3, *self.model.space_shape), seed=4)[rows]

    def predicted(self, level: Level) -> Denoised:
        """What the model says by itself under what is asked for."""
        return self.model.under(self.aims.condition)(self.x_BCHW.clone(), level)

    def _counted(self, condition: Condition) -> Condition:
        self.conditions += 1
        return self.pipeline.network.prepare(condition)


@lru_cache(maxsize=1)
def _shared() -> Pipeline:
    """The kit's own, made once: no law changes it."""
    return guided_model()


def walk_levels() -> tuple[Level, ...]:
    """Levels of its schedule from the noisiest on, before them one that has no signal."""
    (*levels, _) = _shared().schedule.levels([999.0, 600.0, 100.0])
    return (Level(999.0, 0.0, 1.0), *levels)
