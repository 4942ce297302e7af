"""Guidance by a classifier from a file. Legend: B batch, C channels, H height, W width, K classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.kinds import SpaceInfo
from diffloom.process import Aims, Level, Model, Strength
from diffloom_classifier.guide import ClassifierPull
from diffloom_classifier.loading import classifier
from diffloom_classifier.shape import EncoderShape


class EncoderGuide:
    """Up the gradient of log p(label | x_t), as a network from a file says it."""

    def __init__(self, *, shape: EncoderShape, weights: str, pickle: bool, strength: Strength) -> None:
        self.shape = shape
        self.weights = weights
        self.pickle = pickle
        self.strength = strength

    def __call__(self, aims: Aims, model: Model) -> tuple[ClassifierPull]:
        """The guidance of one walk: each call of the network is followed by one of the classifier, there and back.

        Raises CheckpointError for a file that is no such classifier, and ValueError for conditions without class ids
        or with other classes.
        """
        channels, height, width = model.space_shape
        space = SpaceInfo(channels=channels, height=height, width=width)
        _require_classes(aims.condition, self.shape.classes)
        network = classifier(self.shape, space, self.weights, pickle=self.pickle)
        network.to(next((p.device for p in model.backbone.parameters()), torch.device("cpu")))
        return (ClassifierPull(LabelProbability(network, self.shape.classes), self.strength, aims, model),)


class LabelProbability:
    """log p(label | x_t) of each row's own label; 0, which has no gradient, where that is null."""

    def __init__(self, network: nn.Module, classes: int) -> None:
        self.network = network
        self.classes = classes

    def __call__(self, x_BCHW: Tensor, level: Level, condition: Condition) -> Tensor:
        assert condition.class_B is not None
        weight = next(self.network.parameters())
        t_B = torch.full((len(x_BCHW),), level.t, dtype=torch.float32, device=x_BCHW.device)
        log_BK = self.network(x_BCHW.to(weight.dtype), t_B).log_softmax(1)
        is_given_B = condition.class_B < self.classes
        label_B = condition.class_B.where(is_given_B, 0)
        log_B: Tensor = log_BK.gather(1, label_B[:, None])[:, 0] * is_given_B
        return log_B


def _require_classes(condition: Condition, classes: int) -> None:
    """The null class is the one after the last."""
    if condition.class_B is None:
        raise ValueError(
            "classifier: guides by class ids, and the model's conditions have none; take another guidance"
        )
    if int(condition.class_B.max()) > classes:
        raise ValueError(
            f"classifier: tells {classes} classes apart, and the model has more; take a classifier of the model's"
        )
