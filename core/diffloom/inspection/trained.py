"""A model that can be sampled: one that was trained, or whose formula needs no training."""

from __future__ import annotations

from diffloom.api import load
from diffloom.errors import DiffloomError
from diffloom.inspection.source import is_trained
from diffloom.pipeline import Pipeline
from diffloom.untrained import build


def trained_pipeline(source: str, *, weights: str, device: str | None, plugins: tuple[str, ...]) -> Pipeline:
    """The pipeline of a run, of a checkpoint, or of a configuration whose backbone has weights or is a formula.

    Raises DiffloomError for a configuration whose backbone would have random weights.
    """
    if is_trained(source):
        return load(source, weights=weights, device=device, plugins=plugins)
    pipeline = build(source, device=device, plugins=plugins)
    document = pipeline.document
    filled = document.weights is not None or getattr(document.backbone, "weights", None) is not None
    if not filled and not hasattr(pipeline.backbone, "bind"):  # what is bound to its process is a formula
        raise DiffloomError(
            f"{source}: the weights of {document.backbone.canonical} are random until it is trained; train it and "
            "give the run folder, or say with `weights:` where they are"
        )
    return pipeline
