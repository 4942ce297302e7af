"""The kinds of part a model is woven from: for each its configuration base, and the protocol of what it builds.

Importing this package does not import torch.
"""

from diffloom.kinds.attention import Attention
from diffloom.kinds.backbone import Backbone
from diffloom.kinds.caching import Caching, Network, Remembering
from diffloom.kinds.component import Component, Default, Section
from diffloom.kinds.conditioner import Conditioner, Encoder
from diffloom.kinds.correction import Correct, Correction
from diffloom.kinds.criterion import Criterion, Judge
from diffloom.kinds.data import Data, Example, Examples, Stream
from diffloom.kinds.ema import EMA
from diffloom.kinds.guidance import Guidance, Guide, Mixing, Pull, Scale, ScaledGuidance, Tilting
from diffloom.kinds.info import ConditionInfo, DataInfo, ImageInfo, Setting, SpaceInfo
from diffloom.kinds.latent_space import LatentSpace, Statistics
from diffloom.kinds.lr_schedule import LRSchedule
from diffloom.kinds.objective import Loss, Objective
from diffloom.kinds.optimizer import Optimizer, ParameterGroup
from diffloom.kinds.pairing import Pair, Pairing
from diffloom.kinds.prediction import Conversion, Prediction
from diffloom.kinds.sampler import Sampler, Walk
from diffloom.kinds.schedule import NoiseSchedule, Schedule, TimeAxis
from diffloom.kinds.space import Codec, PosteriorCodec, Reconstruction, Space, TrainableCodec
from diffloom.kinds.spacing import Spacing, TimeSpacing
from diffloom.kinds.steered import SteeredGuidance
from diffloom.kinds.timing import Times, Timing
from diffloom.kinds.tracker import Tracker, Tracking
from diffloom.kinds.variance import ReverseVariance, Variance
from diffloom.kinds.weighted import Weighted
from diffloom.kinds.weighting import Weigh, Weighting

KINDS: dict[str, type[Component]] = {
    kind.kind: kind
    for kind in (
        Space,
        Conditioner,
        Backbone,
        Attention,
        Schedule,
        Prediction,
        Variance,
        Objective,
        Weighting,
        Timing,
        Pairing,
        Criterion,
        Sampler,
        Spacing,
        Guidance,
        Correction,
        Caching,
        Data,
        Optimizer,
        LRSchedule,
        EMA,
        Tracker,
    )
}
"""Every kind by its word, in the order a model is assembled."""

__all__ = [
    "EMA",
    "KINDS",
    "Attention",
    "Backbone",
    "Caching",
    "Codec",
    "Component",
    "ConditionInfo",
    "Conditioner",
    "Conversion",
    "Correct",
    "Correction",
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
    "LRSchedule",
    "LatentSpace",
    "Loss",
    "Mixing",
    "Network",
    "NoiseSchedule",
    "Objective",
    "Optimizer",
    "Pair",
    "Pairing",
    "ParameterGroup",
    "PosteriorCodec",
    "Prediction",
    "Pull",
    "Reconstruction",
    "Remembering",
    "ReverseVariance",
    "Sampler",
    "Scale",
    "ScaledGuidance",
    "Schedule",
    "Section",
    "Setting",
    "Space",
    "SpaceInfo",
    "Spacing",
    "Statistics",
    "SteeredGuidance",
    "Stream",
    "Tilting",
    "TimeAxis",
    "TimeSpacing",
    "Times",
    "Timing",
    "Tracker",
    "Tracking",
    "TrainableCodec",
    "Variance",
    "Walk",
    "Weigh",
    "Weighted",
    "Weighting",
]
