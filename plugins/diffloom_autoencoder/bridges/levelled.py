"""The weights of levelled autoencoders in each program's form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from pydantic import ValidationError
from torch import nn

from diffloom.bridge import Entry, Foreign, Inferred
from diffloom.errors import CheckpointError
from diffloom.kinds import ImageInfo
from diffloom_autoencoder.bridges import naming, options
from diffloom_autoencoder.bridges.architecture import is_named, is_variational, read_architecture
from diffloom_autoencoder.kl import AutoencoderKL
from diffloom_autoencoder.levels import LevelledAutoencoder
from diffloom_autoencoder.vq import AutoencoderVQ

TRAINING = "loss."
"""What latent-diffusion's own checkpoints keep beside the autoencoder: its discriminator and perceptual loss."""


class LevelledBridge:
    """One program's weights of one component."""

    format: ClassVar[str]
    component: ClassVar[type[LevelledAutoencoder]]
    kind: ClassVar[str]
    """The class of diffusers that it is."""
    naming: ClassVar[naming.Naming]

    def infer(self, foreign: Foreign) -> Inferred | None:
        """By the configuration where there is one, else by names and shapes."""
        if not self._is_mine(foreign):
            return None
        if foreign.config is None:
            variational = self.component is AutoencoderKL
            fields, channels, told = read_architecture(self.naming, foreign, variational=variational)
            image, unsaid = options.picture(None, channels=channels)
            told = (*told, *unsaid)
        else:
            fields, image, told = options.fields_of(self.kind, foreign)
        return Inferred(made(self.component, foreign, fields), {"image": image}, told)

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        return self.naming.entries(module)

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        return ()

    def config(self, inferred: Inferred) -> dict[str, Any] | None:
        image: ImageInfo = inferred.shapes["image"]
        return options.options_of(self.kind, inferred.part, image)

    def _is_mine(self, foreign: Foreign) -> bool:
        if not is_named(self.naming, foreign.tensors):
            return False
        if foreign.config is not None:
            return foreign.config.get("_class_name") == self.kind
        return is_variational(self.naming, foreign.tensors) == (self.component is AutoencoderKL)


class DiffusersKL(LevelledBridge):
    """`AutoencoderKL`, with the names that it has today."""

    format = "diffusers"
    component: ClassVar[type[LevelledAutoencoder]] = AutoencoderKL
    kind = "AutoencoderKL"
    naming = naming.DIFFUSERS
    former: ClassVar[bool] = False

    def _is_mine(self, foreign: Foreign) -> bool:
        is_former = any(".mid_block.attentions.0.query." in name for name in foreign.tensors)
        return is_former == self.former and super()._is_mine(foreign)


class FormerDiffusersKL(DiffusersKL):
    """`AutoencoderKL` with the names of diffusers' first year."""

    naming = naming.FORMER_DIFFUSERS
    former = True


class DiffusersVQ(DiffusersKL):
    """`VQModel`, with the names that it has today."""

    component = AutoencoderVQ
    kind = "VQModel"


class FormerDiffusersVQ(DiffusersVQ):
    """`VQModel` with the names of diffusers' first year."""

    naming = naming.FORMER_DIFFUSERS
    former = True


class LdmKL(LevelledBridge):
    """latent-diffusion's `AutoencoderKL`, its names without `first_stage_model.`."""

    format = "ldm"
    component: ClassVar[type[LevelledAutoencoder]] = AutoencoderKL
    kind = "AutoencoderKL"
    naming = naming.LDM

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        """What only served its training."""
        return [name for name in names if name.startswith(TRAINING)]

    def config(self, inferred: Inferred) -> dict[str, Any] | None:
        return None


class LdmVQ(LdmKL):
    """latent-diffusion's `VQModel` and `VQModelInterface`."""

    component = AutoencoderVQ
    kind = "VQModel"


def made(component: Any, foreign: Foreign, fields: dict[str, Any]) -> Any:
    """The component with these fields. Raises CheckpointError for what it refuses."""
    try:
        return component(**fields)
    except ValidationError as error:
        problems = "; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
        raise CheckpointError(f"{foreign.tensors.place}: {problems}") from None
