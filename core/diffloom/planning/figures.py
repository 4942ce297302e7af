"""What a plan says. Memory is that of tensors on the device, in bytes: Python and torch themselves come on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diffloom.planning.disk import Disk
from diffloom.planning.network import Network


@dataclass(frozen=True)
class PartSize:
    """Weights of one part, by whether training changes them."""

    trained: int
    frozen: int


@dataclass(frozen=True)
class TrainingPlan:
    """A run."""

    steps: int
    batch_size: int
    examples: int | None
    """How many there are; None where nobody knows before."""
    passes: int
    """In one optimiser step, on one process."""
    network_calls: int
    """In one optimiser step, on one process."""
    flops: int
    """Of the network for one image in one step: forward, twice as much backward, and forward again where activations
    are computed anew."""
    memory: Mapping[str, int]
    """At the worst moment of a step, by what it is for."""
    memory_otherwise: int
    """In all, with `gradient_checkpointing` the other way round."""
    memory_of_previews: int
    """While samples are drawn in between, beside all that is trained; 0 where none are."""
    disk: Disk
    precision: str
    """What networks compute in: of `train.precision: auto`, what that is here."""
    changes: Mapping[str, str]
    """Keys of `train` that change what it takes, each with what it does."""

    @property
    def images(self) -> int:
        """Examples that the run sees, counted each time."""
        return self.steps * self.batch_size

    @property
    def epochs(self) -> float | None:
        """How often it sees each of them."""
        return self.images / self.examples if self.examples else None

    @property
    def peak_bytes(self) -> int:
        """The most memory at any moment."""
        return max(sum(self.memory.values()), self.memory_of_previews)


@dataclass(frozen=True)
class SamplingPlan:
    """Samples, drawn by themselves."""

    count: int
    """How many at once."""
    calls: int | None
    """Of the network, for all of them together; None where the sampler decides as it goes."""
    views: float
    """Rows that the network sees for each sample in a call: 2 where guidance compares with another condition."""
    memory: Mapping[str, int]
    """At the worst moment, by what it is for."""
    precision: str
    """What the network computes in: of `sampling.precision: auto`, what that is here."""
    changes: Mapping[str, str]
    """Keys of `sampling` that change what it takes, each with what it does."""
    memory_otherwise: Mapping[str, int]
    """In all, with one of these left out: by how that is said."""


@dataclass(frozen=True)
class Plan:
    """What a configuration will take."""

    device: str
    parts: Mapping[str, PartSize]
    network: Network
    training: TrainingPlan | None
    """None where the file does not train, or it cannot be told."""
    sampling: SamplingPlan | None
    """None for an autoencoder, or where it cannot be told."""
    unknown: tuple[str, ...]
    """What cannot be told, and why."""

    @property
    def trained(self) -> int:
        """Weights that training changes."""
        return sum(part.trained for part in self.parts.values())
