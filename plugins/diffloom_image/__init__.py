"""Pictures, and their sizes, as conditions."""

from diffloom import Registrar, hookimpl
from diffloom_image.component import ImageCondition
from diffloom_image.size_crop import SizeCrop

__all__ = ["ImageCondition", "SizeCrop"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the conditioners."""
    registrar.add(ImageCondition)
    registrar.add(SizeCrop)
