"""Data: scikit-learn's handwritten digits, and folders of pictures, labelled or captioned."""

from diffloom import Registrar, hookimpl
from diffloom_data.captioned_folder import CaptionedFolder
from diffloom_data.digits import Digits
from diffloom_data.image_folder import ImageFolder

__all__ = ["CaptionedFolder", "Digits", "ImageFolder"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the data sources."""
    registrar.add(CaptionedFolder)
    registrar.add(Digits)
    registrar.add(ImageFolder)
