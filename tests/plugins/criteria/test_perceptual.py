"""LPIPS. Oracles: its formula written out over plain convolutions with random weights, and torchvision's and LPIPS's
names of them."""

import pytest
import torch
from torch.nn import functional

from diffloom.bridge import Foreign, MemoryTensors, fill, theirs_of
from diffloom.errors import CheckpointError
from diffloom.kinds import ImageInfo, Reconstruction
from diffloom_criteria import Perceptual, VGGDistance
from diffloom_criteria.vgg_weights import VGGWeights

CONVOLUTIONS = {  # torchvision's numbers in `features`: input and output channels
    0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256),
    17: (256, 512), 19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512),
}  # fmt: skip
POOLINGS = (4, 9, 16, 23)
LOOKED_AT = (2, 7, 14, 21, 28)
"""LPIPS looks at the ReLU behind these: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3."""
IMAGE = ImageInfo(height=16, width=16, channels=3)


@pytest.fixture(scope="module")
def file():
    """Random weights as a file holds them: VGG16's features, LPIPS's weights, a layer of the classifier."""
    generator = torch.Generator().manual_seed(0)
    tensors = {"classifier.0.weight": torch.zeros(2, 2)}
    for number, (before, after) in CONVOLUTIONS.items():
        tensors[f"features.{number}.weight"] = (
            torch.randn(after, before, 3, 3, generator=generator) * (2 / before / 9) ** 0.5
        )
        tensors[f"features.{number}.bias"] = 0.1 * torch.randn(after, generator=generator)
    for stage, channels in enumerate((64, 128, 256, 512, 512)):
        tensors[f"lin{stage}.model.1.weight"] = torch.rand(1, channels, 1, 1, generator=generator)
    return tensors


def distance(file, x, y, *, learned=True):
    """Zhang et al. 2018, eq. 1, with the constants of their program, layer by layer."""
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    a, b = ((picture - shift[:, None, None]) / scale[:, None, None] for picture in (x, y))
    total = torch.zeros(len(x), dtype=torch.float64)
    for number in range(30):
        if number in CONVOLUTIONS:
            weight, bias = (file[f"features.{number}.{leaf}"].double() for leaf in ("weight", "bias"))
            a, b = (functional.conv2d(h, weight, bias, padding=1).relu() for h in (a, b))
        elif number in POOLINGS:
            a, b = (functional.max_pool2d(h, kernel_size=2, stride=2) for h in (a, b))
        if number in LOOKED_AT:
            weight = file[f"lin{LOOKED_AT.index(number)}.model.1.weight"].double() if learned else 1.0
            unit_a, unit_b = (h / (h.square().sum(1, keepdim=True).sqrt() + 1e-10) for h in (a, b))
            total += (weight * (unit_a - unit_b).square()).sum(1).mean((1, 2))
    return total


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_formula(file, learned, channels):
    """Two pictures of a size that pooling does not divide; grey ones stand for RGB of three equal channels."""
    generator = torch.Generator().manual_seed(1)
    x, y = torch.rand(2, 2, channels, 18, 21, generator=generator, dtype=torch.float64) * 2 - 1
    kind = "learned" if learned else "equal"
    judge = Perceptual(weights="file", channel_weights=kind).build(image=IMAGE)
    there = {name: tensor for name, tensor in file.items() if learned or not name.startswith("lin")}
    fill(judge, MemoryTensors(there), VGGWeights())
    judge.double()
    made = x.clone().requires_grad_()
    loss, own = judge(Reconstruction(y, made, made.sum((1, 2, 3)), made), so_far=made.sum(), step=1)
    wanted = distance(file, x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1), learned=learned)
    torch.testing.assert_close(loss, wanted, rtol=1e-10, atol=0)
    assert not own.any()
    assert not any(weight.requires_grad for weight in judge.parameters())


def test_features_that_are_all_zero_give_a_gradient():
    """Dead channels everywhere: the length of a zero vector has no slope, which must not become NaN."""
    network = VGGDistance(learned=False)
    torch.nn.init.zeros_(network.stages[0][0].weight)
    torch.nn.init.constant_(network.stages[0][0].bias, -1.0)
    x = torch.zeros(1, 3, 16, 16, requires_grad=True)
    network(x, torch.ones(1, 3, 16, 16)).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_file_is_recognised_and_filled_both_ways(file):
    bridge = VGGWeights()
    for learned in (True, False):
        there = {name: tensor for name, tensor in file.items() if learned or not name.startswith("lin")}
        inferred = bridge.infer(Foreign(MemoryTensors(there, "vgg16.safetensors")))
        assert inferred is not None
        assert inferred.part == Perceptual(
            weights="vgg16.safetensors", channel_weights="learned" if learned else "equal"
        )
        module = inferred.build()
        fill(module, MemoryTensors(there), bridge)
        back = theirs_of(module, bridge)
        assert back.keys() == there.keys() - {"classifier.0.weight"}
        assert all(torch.equal(there[name], tensor) for name, tensor in back.items())
    assert bridge.infer(Foreign(MemoryTensors({"features.0.weight": torch.zeros(64, 3, 3, 3)}))) is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lin3.model.1.weight": None}, "1 missing: lin3.model.1.weight"),
        ({"features.7.bias": None}, "1 missing: features.7.bias"),
        ({"features.29.weight": torch.zeros(1)}, "1 left over: features.29.weight"),
        ({"features.5.bias": torch.zeros(3)}, "1 of another shape: features.5.bias [3], not [128]"),
    ],
)
def test_other_files_are_refused_whole(file, change, told):
    changed = {name: tensor for name, tensor in {**file, **change}.items() if tensor is not None}
    judge = Perceptual(weights="file").build(image=IMAGE)
    before = {name: tensor.clone() for name, tensor in judge.state_dict().items()}
    with pytest.raises(CheckpointError, match=told.replace("[", r"\[")):
        fill(judge, MemoryTensors(changed), VGGWeights())
    assert all(torch.equal(before[name], tensor) for name, tensor in judge.state_dict().items())


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            ImageInfo(height=64, width=64, channels=4),
            "these have 4 channels; leave the perceptual criterion out",
        ),
        (ImageInfo(height=64, width=8, channels=3), "pictures of 64×8 are too small for VGG16"),
    ],
)
def test_pictures_it_cannot_see(image, message):
    with pytest.raises(ValueError, match=message):
        Perceptual(weights="file").build(image=image)
