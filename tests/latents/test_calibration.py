"""Measuring latents. Oracle: the closed form over all latents at once, in float64.

Legend: B batch, C channels, H height, W width, N numbers of a channel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from diffloom.errors import DataError
from diffloom.latents.calibration import measure, stored
from diffloom.latents.encoder import normalised
from diffloom.latents.model import LatentModel
from diffloom.process import keyed_generator
from diffloom.training.order import Order

OpenModel = Callable[..., LatentModel]


def pictures(model: LatentModel, indices: list[int]) -> Tensor:
    found = [model.examples.example(i, keyed_generator(0, i, 0, "example")).image_CHW for i in indices]
    return torch.from_numpy(np.stack(found))


def channels(x_BCHW: Tensor) -> np.ndarray:
    """(C, N), float64."""
    return x_BCHW.detach().double().transpose(0, 1).flatten(1).numpy()


def silent(count: int) -> None: ...


@pytest.mark.parametrize("space", ["parts/halved", "parts/halved_plainly"])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_closed_form(open_model: OpenModel, space: str, batch_size: int) -> None:
    model = open_model(f"space.type={space}", "space.weights=w", f"train.batch_size={batch_size}")
    measured = measure(model, examples=None, on_batch=silent)
    images_BCHW = pictures(model, list(range(50)))
    latents_BCHW = 5 * model.encoder.codec.into(images_BCHW) + 2  # type: ignore[attr-defined]
    x_CN = channels(latents_BCHW)
    variance_C = x_CN.var(1)
    if space == "parts/halved":  # Var = Var(mean) + E[Var], each deviation being |sin mean| + 0.1
        variance_C = variance_C + ((np.abs(np.sin(x_CN)) + 0.1) ** 2).mean(1)
    # The codec computes in float32, in batches of another size: 2⁻²⁴ of each number, a few times over.
    np.testing.assert_allclose(measured.statistics.mean, x_CN.mean(1), rtol=1e-5)
    np.testing.assert_allclose(measured.statistics.std, np.sqrt(variance_C), rtol=1e-5)
    pooled = np.sqrt(variance_C.mean() + x_CN.mean(1).var())
    assert measured.pooled_std == pytest.approx(pooled, rel=1e-5)
    assert measured.statistics.examples == 50


def test_stored_statistics_normalise(open_model: OpenModel) -> None:
    model = open_model("space.type=parts/halved_plainly", "space.weights=w")
    statistics = measure(model, examples=None, on_batch=silent).statistics
    space = model.document.space.model_copy(update={"statistics": statistics})
    codec = space.build(image=model.document.image.info)
    codec.load_state_dict(model.encoder.codec.state_dict())  # type: ignore[attr-defined]
    images_BCHW = pictures(model, list(range(50)))
    x_BCHW = codec.encode(images_BCHW)
    x_CN = channels(x_BCHW)
    np.testing.assert_allclose(x_CN.mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(x_CN.std(1), 1, rtol=1e-5)
    assert torch.equal(normalised(space, model.encoder.rows(images_BCHW)), x_BCHW)  # type: ignore[arg-type]


def test_the_first_of_training_order(open_model: OpenModel) -> None:
    model = open_model("train.seed=3")
    told: list[int] = []
    measured = measure(model, examples=10, on_batch=told.append)
    order = Order(seed=3, examples=50)
    images_BCHW = pictures(model, [order.index(position) for position in range(10)])
    mean_BCHW, _ = model.encoder.points(model.encoder.rows(images_BCHW))
    np.testing.assert_allclose(measured.statistics.mean, channels(mean_BCHW).mean(1), rtol=1e-5)
    assert measured.statistics.examples == 10
    assert told == [4, 4, 2]


def test_more_than_there_are_is_all(open_model: OpenModel) -> None:
    model = open_model()
    every = measure(model, examples=None, on_batch=silent)
    assert measure(model, examples=1000, on_batch=silent) == every
    assert measure(model, examples=50, on_batch=silent) == every


def test_digest(open_model: OpenModel) -> None:
    """SHA-256 over the pictures' own SHA-256 digests, of shape and float32 pixels, in the order of the data."""
    model = open_model("data.examples=3")
    whole = hashlib.sha256()
    for image_CHW in pictures(model, [0, 1, 2]).numpy():
        whole.update(hashlib.sha256(b"[1, 8, 8]" + image_CHW.tobytes()).digest())
    assert measure(model, examples=None, on_batch=silent).statistics.data == whole.hexdigest()


def test_stored_numbers_are_float32_and_short() -> None:
    for number in (1 / 3, -1e-05, 123456.789, 4.9):
        kept = stored(number)
        assert np.float32(kept) == np.float32(number)
        assert len(repr(kept).strip("-").replace(".", "")) <= 9


def test_a_constant_channel(open_model: OpenModel) -> None:
    model = open_model("space.type=parts/halved_plainly", "space.weights=w")
    with torch.no_grad():
        model.encoder.codec.into.weight[1] = 0  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="latent channel 1 is the same in all 50 pictures"):
        measure(model, examples=None, on_batch=silent)


def test_not_finite(open_model: OpenModel) -> None:
    model = open_model("data.offset=1e38", "data.offset_from=41")
    with torch.no_grad():
        model.encoder.codec.into.weight.mul_(1e3)  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="picture at position 41 are NaN or infinite"):
        measure(model, examples=None, on_batch=silent)
