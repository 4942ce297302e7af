"""MNIST as a source of examples, from one file of arrays: `diffloom train -p benchmarks/mnist/mnist_arrays.py`.

Legend: C channels, H height, W width, N examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from diffloom import Registrar, hookimpl
from diffloom.errors import DataError
from diffloom.kinds import Data, DataInfo, Example, Examples, ImageInfo

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


class MNIST(Data):
    """LeCun, Cortes and Burges' handwritten digits, 28×28 grey, from an .npz file of `train_x`, `train_y`, `test_x`,
    `test_y`."""

    name = "mnist"

    path: str
    """The file."""
    split: Literal["train", "test"] = "train"
    """60,000 examples to learn from, or 10,000 to judge by."""

    @property
    def deterministic(self) -> bool:
        return True

    def build(self, *, image: ImageInfo) -> Examples:
        """Open the file. Raises DataError for pictures of another shape."""
        import numpy as np

        if image.shape != (1, 28, 28):
            raise DataError(f"mnist: pictures are 28×28 with 1 channel, and `image:` says {image.shape}")
        with np.load(self.path, allow_pickle=False) as arrays:
            return Digits(arrays[f"{self.split}_x"], arrays[f"{self.split}_y"])

    @classmethod
    def specimens(cls, folder: Path) -> tuple[MNIST, ...]:
        import numpy as np

        rng = np.random.default_rng(0)
        pixels_NHW, labels_N = rng.integers(0, 256, (12, 28, 28), dtype=np.uint8), np.arange(12) % 10
        file = folder / "mnist.npz"
        np.savez(file, train_x=pixels_NHW, train_y=labels_N, test_x=pixels_NHW, test_y=labels_N)
        return (cls(path=str(file)),)


class Digits:
    """The digits of one split."""

    def __init__(self, pixels_NHW: NDArray[np.uint8], labels_N: NDArray[np.int64]) -> None:
        self.pixels_NHW, self.labels_N = pixels_NHW, labels_N
        self.info = DataInfo(
            examples=len(pixels_NHW), classes={"label": tuple(str(digit) for digit in range(10))}
        )

    def __len__(self) -> int:
        return self.info.examples

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Digit `index` and its label; nothing is drawn."""
        image_CHW = self.pixels_NHW[index][None].astype("float32") / 127.5 - 1
        return Example(image_CHW=image_CHW, conditions={"label": int(self.labels_N[index])})


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register MNIST."""
    registrar.add(MNIST)
