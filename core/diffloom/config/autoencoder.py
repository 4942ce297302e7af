"""The second sort of file: it trains the space itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat

from diffloom.config.document import PictureDocument, Train
from diffloom.kinds import Criterion, Data, Section


class Autoencoder(Section):
    """What an autoencoder is trained to: the weighted sum of its criteria, plus its regularisation."""

    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]
    """What judges a reconstruction beside its picture, in order: some weigh themselves against those before them."""
    regularisation: NonNegativeFloat = 1e-6
    """Weight of what keeps the latents in bounds, for each value of the picture: the divergence from a standard
    normal in nats, or the codebook's loss."""


class AutoencoderDocument(PictureDocument):
    """The training of an autoencoder. It has no diffusion model: a second file names the result as its space."""

    autoencoder: Autoencoder
    """What it is trained to."""
    data: Data | None = None
    """The pictures; only training needs them. Their conditions are not looked at."""
    train: Train | None = None
    """The training run; only training needs it."""
    plugins: dict[str, str] = Field(default_factory=dict)
    """Versions of the plugins this file was resolved with; diffloom writes it."""
