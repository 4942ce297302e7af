"""A validated document → built parts, in one fixed order: space, conditioners, backbone, process, sampling."""

from __future__ import annotations

import torch
from torch import nn

from diffloom.building import built
from diffloom.config.document import Document
from diffloom.nn import attend_with
from diffloom.pipeline import Pipeline
from diffloom.plugins import load_registry
from diffloom.process import Process, keyed_generator
from diffloom.registry import Registry


def assemble(document: Document, *, seed: int = 0, registry: Registry | None = None) -> Pipeline:
    """Build the pipeline with fresh weights; equal seeds give equal weights. Touches no data.

    Raises ConfigError where parts refuse each other's shapes.
    """
    image = document.image.info
    initial = keyed_generator(seed, 0, 0, "weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(initial.integers(2**63)))
        space = built("space", document.space.build, image=image)
        conditioners = nn.ModuleDict(
            {
                key: built(f"conditioners.{key}", part.build, setting=document.setting, codec=space)
                for key, part in document.conditioners.items()
            }
        )
        condition = built("conditioners", lambda: document.condition_info)
        backbone = built("backbone", document.backbone.build, space=document.space_info, condition=condition)
        schedule = built("schedule", document.schedule.build, space=document.space_info)
    process = Process(
        schedule=schedule,
        prediction=built("prediction", document.prediction.build, schedule=schedule),
        variance=built("variance", document.variance.build),
    )
    if (bind := getattr(backbone, "bind", None)) is not None:
        built("backbone", bind, process=process)
    learned = {"schedule": schedule} if isinstance(schedule, nn.Module) else {}
    module = nn.ModuleDict({"space": space, "conditioners": conditioners, "backbone": backbone, **learned})
    attend_with(module, built("attention", document.attention.build))
    pipeline = Pipeline(
        document=document,
        module=module,
        process=process,
        registry=registry or load_registry(),
    )
    if not learned:  # a learned schedule may have no weights yet, and will have others after training
        pipeline.levels(
            document.sampling
        )  # what lint cannot know without tables is told before a training run
    return pipeline
