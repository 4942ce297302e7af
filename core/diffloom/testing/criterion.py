"""Laws of the kind `criterion`. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.kinds import Criterion, ImageInfo, Judge, Reconstruction
from diffloom.testing.checks import BrokenLawError, Check, expect, expect_close
from diffloom.testing.closed_forms import normal
from diffloom.testing.modules import awake, expect_module, expect_seeded, expect_state_tells_all

IMAGES = tuple(
    ImageInfo(height=height, width=width, channels=channels)
    for height, width, channels in ((8, 8, 1), (16, 24, 1), (16, 16, 3), (64, 64, 3), (256, 256, 3))
)
"""Pictures that a criterion is offered, the smallest first."""
BATCH = 4


@dataclass(frozen=True)
class Decoded:
    """A reconstruction as an autoencoder makes it, whose last layer is a 1×1 convolution."""

    images_BCHW: Tensor
    hidden_BCHW: Tensor
    weight: nn.Parameter

    @classmethod
    def of(cls, image: ImageInfo, *, dtype: torch.dtype = torch.float64, off: float = 0.3) -> Decoded:
        """Keyed pictures, and a decoder that is `off` by so much noise."""
        shape = (BATCH, *image.shape)
        images = normal(shape).mul(0.5).tanh()
        hidden = images + off * normal(shape, seed=9)
        weight = torch.eye(image.channels, dtype=torch.float64)[:, :, None, None]
        return cls(images.to(dtype), hidden.to(dtype).requires_grad_(), nn.Parameter(weight.to(dtype)))

    def reconstruction(self, rows: slice = slice(None)) -> Reconstruction:
        """Some of the examples."""
        made = functional.conv2d(self.hidden_BCHW[rows], self.weight)
        return Reconstruction(self.images_BCHW[rows], made, made.new_zeros(len(made)), self.weight)


def builds(component: Criterion) -> None:
    """build() gives a torch module that can be called, for one of the pictures offered."""
    expect_module(_built(component)[1], ("forward",))


def gives_two_losses_each(component: Criterion) -> None:
    """Both losses are float32, finite and one for each example; the same twice, and the second time too."""
    image, judge = _built(component)
    judge.train()
    made = Decoded.of(image, dtype=torch.float32)
    first, second = (_judged(judge, made.reconstruction()) for _ in range(2))
    for title, losses in (("autoencoder", first[0]), ("judge", first[1])):
        expect(losses.shape == (BATCH,), f"one loss for each example for the {title}, (B,)", losses.shape)
        expect(losses.dtype == torch.float32, "float32, as the pictures are", losses.dtype)
        expect(bool(losses.isfinite().all()), f"finite losses for the {title}", losses.tolist())
    same = all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    expect(same, "the same losses when it is asked again", "others: it draws, or it keeps something")


def separates_the_gradients(component: Criterion) -> None:
    """The autoencoder's loss teaches the autoencoder alone, the judge's the judge alone; a judge without trained
    weights has a loss of zero."""
    image, judge = _built(component)
    awake(judge).double().train()
    trained = {name: weight for name, weight in judge.named_parameters() if weight.requires_grad}
    made = Decoded.of(image)
    costs_B, own_B = _judged(judge, made.reconstruction())
    expect(costs_B.requires_grad, "an autoencoder's loss with a gradient", "one without")
    costs_B.sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
    for title, tensor in (("last layer", made.weight), ("layers before it", made.hidden_BCHW)):
        grad = tensor.grad
        learns = grad is not None and bool(grad.isfinite().all()) and bool(grad.any())
        expect(learns, f"a finite gradient of the autoencoder's loss to its {title}", grad)
    astray = [name for name, weight in trained.items() if weight.grad is not None and weight.grad.any()]
    expect(not astray, "no gradient of the autoencoder's loss to the judge", f"some to {astray[:3]}")
    if not trained:
        expect(not own_B.any(), "zeros for a judge that is not trained", own_B.tolist())
        return
    expect(own_B.requires_grad, "a judge's loss with a gradient to what it trains", "one without")
    made.hidden_BCHW.grad = made.weight.grad = None
    own_B.sum().backward()  # type: ignore[no-untyped-call]
    strays = [grad for grad in (made.hidden_BCHW.grad, made.weight.grad) if grad is not None]
    expect(not strays, "no gradient of the judge's loss to the autoencoder", f"{len(strays)}")
    untaught = [name for name, weight in trained.items() if weight.grad is None]
    expect(not untaught, "a gradient of the judge's loss to all it trains", f"none to {untaught[:3]}")


def is_least_for_the_picture_itself(component: Criterion) -> None:
    """What is not trained judges by likeness: nothing costs less than the picture itself."""
    image, judge = _built(component)
    awake(judge).double()
    if any(weight.requires_grad for weight in judge.parameters()):
        return
    same, other = (_judged(judge, Decoded.of(image, off=off).reconstruction())[0] for off in (0.0, 0.3))
    expect(bool((same < other).all()), f"less than {other.tolist()} for equal pictures", same.tolist())


def rows_are_independent(component: Criterion) -> None:
    """An example's losses do not depend on its neighbours, but for one factor where it weighs itself against others."""
    image, judge = _built(component)
    awake(judge).double().train()
    made = Decoded.of(image)
    costs_B, own_B = _judged(judge, made.reconstruction())
    for rows in (slice(0, 2), slice(2, 4)):
        part_B, own_part_B = _judged(judge, made.reconstruction(rows))
        factor = costs_B[rows][0] / part_B[0] if component.relative else 1.0
        expect_close(part_B * factor, costs_B[rows], within=1e-9, what=f"losses of {_told(rows)} alone")
        expect_close(own_part_B, own_B[rows], within=1e-9, what=f"the judge's losses of {_told(rows)} alone")


def weighs_itself_as_it_says(component: Criterion) -> None:
    """Twice the loss before it makes a relative criterion twice as large, and leaves any other as it is."""
    image, judge = _built(component)
    awake(judge).double()
    made = Decoded.of(image)
    once, twice = (_judged(judge, made.reconstruction(), times=times)[0] for times in (1.0, 2.0))
    expect_close(
        twice, once * (1 + component.relative), within=1e-9, what="losses after twice the loss before"
    )


def is_told_by_seed_and_weights(component: Criterion) -> None:
    """Equal seeds build equal weights, and the state_dict holds all that its losses depend on."""
    image, _ = _built(component)
    made = Decoded.of(image, dtype=torch.float32)
    expect_seeded(lambda: component.build(image=image))
    expect_state_tells_all(
        lambda: component.build(image=image),
        lambda module: torch.stack(_judged(module, made.reconstruction())),
    )


def _judged(judge: nn.Module, made: Reconstruction, *, times: float = 1.0) -> tuple[Tensor, Tensor]:
    """Both losses, after a criterion before it that cost `times` the mean squared error."""
    so_far = times * (made.images_BCHW - made.reconstructed_BCHW).square().mean()
    return cast(Judge, judge)(made, so_far=so_far, step=1)


def _built(component: Criterion) -> tuple[ImageInfo, nn.Module]:
    """The smallest picture offered that the criterion takes, and its judge."""
    for image in IMAGES:
        try:
            return image, component.build(image=image)
        except ValueError:
            continue
    offered = ", ".join(str(image.shape) for image in IMAGES)
    raise BrokenLawError(f"expected it to take a picture of {offered}")


def _told(rows: slice) -> str:
    return f"rows {rows.start} to {rows.stop - 1}"


CHECKS: tuple[Check, ...] = (
    builds,
    gives_two_losses_each,
    separates_the_gradients,
    is_least_for_the_picture_itself,
    rows_are_independent,
    weighs_itself_as_it_says,
    is_told_by_seed_and_weights,
)
