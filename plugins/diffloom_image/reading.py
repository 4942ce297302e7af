"""Whatever a user gives as a picture or as a mask → numbers. Legend: C channels, H height, W width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

ALLOWED = (
    "a picture is a file, a PIL image, bytes (H, W) or (H, W, 3) in a numpy array, or floating-point numbers (C, H, W) "
    "in [-1, 1] in an array or tensor"
)
MASK_ALLOWED = (
    "a mask is a file, a PIL image, or an array or tensor (H, W) of truth values, bytes, or numbers in [0, 1]: true, "
    "white and 1 are to be repainted"
)


def read_picture(raw: Any) -> NDArray[np.float32]:
    """(C, H, W) in [-1, 1], C being 1 or 3. Files are turned upright, transparency is laid on white.

    Raises ValueError for what is no such picture.
    """
    if isinstance(raw, str | Path):
        return _scaled(_opaque(_opened(raw), str(raw)))
    if isinstance(raw, Image.Image):
        return _scaled(_opaque(raw, "the picture"))
    array = _array(raw)
    if array is None:
        raise ValueError(f"{ALLOWED}; not {raw!r}"[:500])
    if array.dtype == np.uint8 and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3))):
        return _scaled(array)
    if array.dtype.kind == "f" and array.ndim == 3 and array.shape[0] in (1, 3):
        if not (np.abs(array) <= 1).all():  # NaN is not
            raise ValueError("the picture has values outside [-1, 1]")
        return array.astype(np.float32)
    raise ValueError(f"{ALLOWED}; not {array.dtype} of shape {array.shape}")


def read_mask(raw: Any) -> NDArray[np.bool_]:
    """(H, W), true where the picture is to be repainted. Raises ValueError for what is no mask."""
    if isinstance(raw, str | Path):
        return np.asarray(_opaque(_opened(raw), str(raw)).convert("L")) >= 128
    if isinstance(raw, Image.Image):
        return np.asarray(_opaque(raw, "the mask").convert("L")) >= 128
    array = _array(raw)
    if array is None:
        raise ValueError(f"{MASK_ALLOWED}; not {raw!r}"[:500])
    shape = array.shape
    if array.ndim == 3 and shape[0] == 1:
        array = array[0]
    if array.ndim == 2 and array.dtype == np.bool_:
        return array
    if array.ndim == 2 and array.dtype == np.uint8:
        return array >= 128
    if array.ndim == 2 and array.dtype.kind == "f" and ((array >= 0) & (array <= 1)).all():
        return array >= 0.5
    raise ValueError(f"{MASK_ALLOWED}; not {array.dtype} of shape {shape}")


def _array(raw: Any) -> NDArray[Any] | None:
    """An array or a tensor as an array; None for anything else."""
    if callable(
        getattr(raw, "detach", None)
    ):  # a tensor, of whatever type and place; torch need not be imported
        raw = raw.detach().cpu()
        raw = (raw.float() if raw.is_floating_point() else raw).numpy()
    return raw if isinstance(raw, np.ndarray) and raw.size else None


def _opened(path: str | Path) -> Image.Image:
    """The file, decoded and upright. Raises ValueError, naming it."""
    try:
        with Image.open(path) as file:
            return ImageOps.exif_transpose(file)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; a relative path starts at {Path.cwd()}") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{path}: not a picture that can be read") from error
    except Exception as error:  # Pillow's are of many kinds
        raise ValueError(f"{str(path)!r}: cannot be read as a picture: {error}") from error


def _opaque(picture: Image.Image, called: str) -> Image.Image:
    """Grey (mode L) or RGB. Raises ValueError for more than 8 bits."""
    if picture.mode.startswith(("I", "F")):
        raise ValueError(f"{called}: has more than 8 bits a channel (mode {picture.mode}); convert it to 8")
    if "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        opaque = Image.new("RGBA", picture.size, "white")
        opaque.alpha_composite(picture.convert("RGBA"))
        return opaque.convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def _scaled(picture: Image.Image | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bytes (H, W) or (H, W, C) → (C, H, W) in [-1, 1]."""
    pixels = np.asarray(picture)
    pixels_CHW = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels_CHW, dtype=np.float32) / np.float32(127.5) - 1
