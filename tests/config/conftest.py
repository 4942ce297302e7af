"""Small components of two distributions, in a registry of their own."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field, PositiveInt, model_validator

from diffloom.kinds import (
    Backbone,
    Conditioner,
    ConditionInfo,
    Criterion,
    Data,
    Default,
    ImageInfo,
    Objective,
    Prediction,
    Sampler,
    ScaledGuidance,
    Schedule,
    Section,
    Space,
    SpaceInfo,
    Spacing,
    TimeAxis,
    TimeSpacing,
    Variance,
)
from diffloom.registry import Quarantined, Registrar, Registry


def parts_of(name: str) -> ModuleType:
    """A file of further components beside this one."""
    loader = SourceFileLoader(f"config_{Path(name).stem}", str(Path(__file__).parent / name))
    module = sys.modules[loader.name] = ModuleType(loader.name)
    loader.exec_module(module)
    return module


class Unbuilt:
    """Configuration is all that these tests look at."""

    def build(self, **_: Any) -> Any:
        raise NotImplementedError


class Pixel(Unbuilt, Space):
    """The image itself."""

    name = "pixel"

    def info(self, image: ImageInfo) -> SpaceInfo:
        return SpaceInfo(channels=image.channels, height=image.height, width=image.width)


class Latent(Unbuilt, Space):
    """A smaller grid."""

    name = "latent"
    factor: PositiveInt
    """How many pixels make one latent."""
    shift: float = 0.0

    def info(self, image: ImageInfo) -> SpaceInfo:
        if image.height % self.factor or image.width % self.factor:
            raise ValueError(f"a latent is {self.factor}×{self.factor} pixels")
        return SpaceInfo(channels=4, height=image.height // self.factor, width=image.width // self.factor)


class Label(Unbuilt, Conditioner):
    """A class."""

    name = "label"
    classes: PositiveInt = 10

    def info(self, setting: Any) -> ConditionInfo:
        return ConditionInfo(classes=self.classes + 1)

    def parse(self, text: str) -> Any:
        return int(text)

    def check(self, raw: Any) -> Any:
        return raw


class Words(Label):
    """A class with a width that may not exist."""

    name = "words"
    width: int = 8

    def info(self, setting: Any) -> ConditionInfo:
        if self.width % 2:
            raise ValueError(f"width {self.width} is odd")
        return ConditionInfo(tokens=self.width)


class Net(Unbuilt, Backbone):
    """A network."""

    name = "net"
    channels: tuple[PositiveInt, ...] = (64, 128)
    """Channels of each level."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    activation: Literal["silu", "gelu"] = "silu"

    @property
    def downsampling(self) -> int:
        return 2 ** (len(self.channels) - 1)


class Linear(Unbuilt, Schedule):
    """A straight line."""

    name = "linear"
    steps: PositiveInt = 1000
    beta_end: float = 2e-2

    @property
    def axis(self) -> TimeAxis:
        return TimeAxis.table(self.steps)


class Epsilon(Unbuilt, Prediction):
    """The noise."""

    name = "epsilon"


class FixedSmall(Unbuilt, Variance):
    """The posterior's."""

    name = "fixed_small"


class Learned(Unbuilt, Variance):
    """The network's."""

    name = "learned"
    learned: ClassVar[bool] = True


class Simple(Unbuilt, Objective):
    """Mean squared error."""

    name = "simple"
    trains_variance: ClassVar[bool] = True


class Lp(Unbuilt, Criterion):
    """Pixel by pixel."""

    name = "lp"
    p: Annotated[float, Field(gt=0)] = 1.0


class Rival(Unbuilt, Criterion):
    """Weighs itself against the others."""

    name = "rival"
    relative: ClassVar[bool] = True


class Leading(TimeSpacing):
    """From the first."""

    name = "leading"
    offset: int = 0

    def times(self, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        return tuple(axis.last - i * (axis.last + 1) // steps for i in range(steps))


class Trailing(Leading):
    """From the last."""

    name = "trailing"


class Ddim(Unbuilt, Sampler):
    """Walks."""

    name = "ddim"
    ends_early: ClassVar[bool] = True
    eta: float = 0.0


class Ancestral(Unbuilt, Sampler):
    """Walks to the end."""

    name = "ancestral"


class ClassifierFree(Unbuilt, ScaledGuidance):
    """Steers."""

    name = "classifier_free"


class Folder(Unbuilt, Data):
    """Files."""

    name = "folder"
    folder: Path
    fractions: list[float] = Field(default_factory=lambda: [0.9, 0.1])
    exclude: frozenset[str] = frozenset()


class MoonLeading(Leading):
    """acme's own."""

    name = "leading"


class Mare(Section):
    """A section of acme's."""

    depth: int
    spacing: Annotated[Spacing, Default("leading")]


class Crater(Unbuilt, Backbone):
    """Parts inside parts, in every way they may be."""

    name = "crater"
    first: Annotated[Spacing, Default("leading")]
    second: Annotated[Spacing, Default({"type": "trailing", "offset": 3})]
    maybe: Spacing | None = None
    named: dict[str, Spacing] = Field(default_factory=dict)
    listed: tuple[Spacing, ...] = ()
    pair: tuple[Spacing, Sampler] | None = None
    mare: Mare | None = None
    maria: list[Mare] = Field(default_factory=list)
    size: PositiveInt | tuple[PositiveInt, PositiveInt] = 1
    free: dict[str, Any] = Field(default_factory=dict)
    limit: Annotated[float, Field(allow_inf_nan=True)] = 0.0

    @model_validator(mode="after")
    def _agree(self) -> Crater:
        if self.limit < 0:
            raise ValueError("limit is below zero")
        return self


class MoonNet(Net):
    """A second network of that name."""

    name = "net"


def registry_of(**distributions: list[Any]) -> Registry:
    registry = Registry()
    for name, components in distributions.items():
        registrar = Registrar(name.replace("_", "-"))
        for component in components:
            registrar.add(component)
        registry.commit(registrar, "1.2")
    return registry


OURS = [Pixel, Latent, Label, Words, Net, Linear, Epsilon, FixedSmall, Learned, Simple, Leading, Trailing]
OURS += [Lp, Rival, Ddim, Ancestral, ClassifierFree, Folder, *vars(parts_of("training_parts.py"))["PARTS"]]


@pytest.fixture(scope="session")
def registry() -> Registry:
    """diffloom and acme-moon are installed, acme-sun is broken."""
    registry = registry_of(diffloom=OURS, acme_moon=[MoonLeading, Crater, MoonNet])
    registry.quarantined.append(Quarantined("acme-sun", "sun", "ImportError: no helium"))
    return registry


@pytest.fixture(scope="session")
def complete() -> str:
    """A file that loads."""
    return """\
image: {size: 8, channels: 1}
conditioners:
  label: {type: label, dropout: 0.1}
backbone:
  type: net
  channels: [32, 64]
schedule: linear
prediction: epsilon
sampling:
  sampler: ddim
  steps: 50
  guidance: {type: classifier_free, scale: 2}
train:
  steps: 1000
  batch_size: 64
  lr: 1e-4
"""
