"""Data: scikit-learn's handwritten digits, and folders of pictures."""

from diffloom import Registrar, hookimpl
from diffloom_data.digits import Digits
from diffloom_data.image_folder import ImageFolder

__all__ = ["Digits", "ImageFolder"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the data sources."""
    registrar.add(Digits)
    registrar.add(ImageFolder)
