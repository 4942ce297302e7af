"""What an autoencoder is, in a page."""

from __future__ import annotations

from diffloom.config import AutoencoderDocument
from diffloom.inspection.diffusion_page import add_part
from diffloom.inspection.learning import learned_by_autoencoder, training
from diffloom.inspection.page import Section


def autoencoder_page(document: AutoencoderDocument) -> list[Section]:
    """The sections. Builds the network without its weights."""
    image, space = document.image.info, document.space_info
    shapes = Section("Pictures and their latents")
    shapes.add("picture", f"{image.height}×{image.width}×{image.channels}, values from −1 to 1")
    add_part(shapes, "space", document.space)
    count = space.channels * space.height * space.width
    ratio = image.height * image.width * image.channels / count
    shapes.add(
        "latent",
        f"{space.height}×{space.width}×{space.channels} = {count:,} numbers, 1 for {ratio:.3g} of the picture's",
    )
    loss = Section("Training")
    criteria = document.autoencoder.criteria
    names = " + ".join(criterion.name for criterion in criteria)
    loss.add("L", f"{names} + {document.autoencoder.regularisation:g}·regularisation of the latents")
    for criterion in criteria:
        add_part(loss, criterion.name, criterion)
    training(loss, document.train)
    return [shapes, loss, learned_by_autoencoder(document)]
