"""The kinds of part a model is woven from: for each its configuration base, and the protocol of what it builds.

Importing this package does not import torch.
"""

from diffloom.kinds.backbone import Backbone
from diffloom.kinds.component import Component, Default, Section
from diffloom.kinds.conditioner import Conditioner, Encoder
from diffloom.kinds.criterion import Criterion, Judge
from diffloom.kinds.data import Data, Example, Examples
from diffloom.kinds.guidance import Guidance, Guide
from diffloom.kinds.info import ConditionInfo, DataInfo, ImageInfo, Setting, SpaceInfo
from diffloom.kinds.latent_space import LatentSpace, Statistics
from diffloom.kinds.objective import Loss, Objective
from diffloom.kinds.prediction import Conversion, Prediction
from diffloom.kinds.sampler import Sampler, Walk
from diffloom.kinds.schedule import NoiseSchedule, Schedule
from diffloom.kinds.space import Codec, PosteriorCodec, Reconstruction, Space, TrainableCodec
from diffloom.kinds.spacing import Spacing
from diffloom.kinds.variance import ReverseVariance, Variance
from diffloom.kinds.weighted import Weighted

KINDS: dict[str, type[Component]] = {
    kind.kind: kind
    for kind in (
        Space,
        Conditioner,
        Backbone,
        Schedule,
        Prediction,
        Variance,
        Objective,
        Criterion,
        Sampler,
        Spacing,
        Guidance,
        Data,
    )
}
"""Every kind by its word, in the order a model is assembled."""

__all__ = [
    "KINDS",
    "Backbone",
    "Codec",
    "Component",
    "ConditionInfo",
    "Conditioner",
    "Conversion",
    "Criterion",
    "Data",
    "DataInfo",
    "Default",
    "Encoder",
    "Example",
    "Examples",
    "Guidance",
    "Guide",
    "ImageInfo",
    "Judge",
    "LatentSpace",
    "Loss",
    "NoiseSchedule",
    "Objective",
    "PosteriorCodec",
    "Prediction",
    "Reconstruction",
    "ReverseVariance",
    "Sampler",
    "Schedule",
    "Section",
    "Setting",
    "Space",
    "SpaceInfo",
    "Spacing",
    "Statistics",
    "TrainableCodec",
    "Variance",
    "Walk",
    "Weighted",
]
