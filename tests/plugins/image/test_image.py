"""Conditioner `image`. Oracles: the pixels that the test wrote; torch's and diffusers' own handling of masks; the
conformance kit."""

import numpy as np
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import nn
from torch.nn import functional

from diffloom.errors import DiffloomError
from diffloom.kinds import ConditionInfo, ImageInfo, Setting, SpaceInfo
from diffloom.testing import check_component
from diffloom_image import ImageCondition

SETTING = Setting(
    image=ImageInfo(height=16, width=24, channels=3), space=SpaceInfo(channels=4, height=4, width=6)
)


class Coder(nn.Module):
    """A space that halves twice, with a fourth channel: linear, so that its answers are known."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Parameter(torch.linspace(-1, 1, 12).reshape(4, 3))
        self.seen = []

    def encode(self, images_BCHW):
        self.seen.append(images_BCHW)
        return torch.einsum("dc,bchw->bdhw", self.mix, functional.avg_pool2d(images_BCHW, 4))


def built(codec=None, **fields):
    part = ImageCondition(**fields)
    return part, part.build(setting=SETTING, codec=codec)


def noise(height=16, width=24, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scaled(pixels_HWC):
    """(1, C, H, W) in [-1, 1], in float64."""
    return torch.from_numpy(pixels_HWC / 127.5 - 1).permute(2, 0, 1)[None]


@pytest.fixture
def mask(tmp_path):
    """A rectangle to be repainted: as numbers, and as a file."""
    mask_HW = np.zeros((16, 24), bool)
    mask_HW[3:9, 5:20] = True
    Image.fromarray(mask_HW).save(tmp_path / "mask.png")
    return mask_HW, tmp_path / "mask.png"


def test_it_obeys_the_laws_of_its_kind():
    assert check_component(ImageCondition) == []


class TestFitting:
    @pytest.mark.parametrize("raw", ["array", "file", "tensor"])
    def test_grey_is_repeated(self, raw, tmp_path):
        grey_HW = noise(4, 6)[..., 0]
        Image.fromarray(grey_HW).save(tmp_path / "a.png")
        tensor = torch.from_numpy(grey_HW)[None].float() / 127.5 - 1
        part, module = built()
        got = module.encode(
            [part.check({"array": grey_HW, "file": tmp_path / "a.png", "tensor": tensor}[raw])]
        )
        wanted = scaled(np.stack([grey_HW] * 3, -1))
        assert (got.concat_BCHW.double() - wanted).abs().max() < 1e-6

    def test_another_size_is_refused_with_both(self):
        part, module = built()
        with pytest.raises(
            DiffloomError, match="the picture: 8×12 pixels, where the model reads 4×6; resize it, or set"
        ):
            module.encode([part.check(noise(8, 12))])

    @pytest.mark.parametrize("method", ["bilinear", "bicubic"])
    def test_resizing_is_torchs_with_antialiasing(self, method):
        part, module = built(resize=method)
        wanted = functional.interpolate(scaled(noise(32, 48)), (4, 6), mode=method, antialias=True)
        got = module.double().encode([part.check(noise(32, 48))]).concat_BCHW
        assert (got - wanted).abs().max() < 1e-6  # the pixels were rounded to float32

    def test_nearest_picks_pixels(self):
        part, module = built(resize="nearest")
        got = module.encode([part.check(noise(8, 12))]).concat_BCHW
        assert (got.double() - scaled(noise(8, 12))[..., ::2, ::2]).abs().max() < 1e-6

    def test_bicubic_stays_in_bounds(self):
        edge_HWC = np.zeros((8, 12, 3), np.uint8)
        edge_HWC[:, 6:] = 255
        part, module = built(resize="bicubic")
        assert module.encode([part.check(edge_HWC)]).concat_BCHW.abs().max() == 1

    @pytest.mark.parametrize(
        ("height", "width", "fits"), [(40, 60, True), (41, 62, True), (40, 71, False), (60, 40, False)]
    )
    def test_another_shape_is_never_stretched(self, height, width, fits):
        """A size scaled to the height and rounded: 41×62 → 4×6.05, 40×71 → 4×7.1."""
        part, module = built(resize="bilinear")
        picture = part.check(noise(height, width))
        if fits:
            assert module.encode([picture]).concat_BCHW.shape == (1, 3, 4, 6)
        else:
            with pytest.raises(DiffloomError, match="that would distort it: crop it to this shape first"):
                module.encode([picture])

    def test_pictures_of_several_sizes_in_one_batch(self):
        part, module = built(resize="bilinear")
        pictures = [part.check(noise(height, height * 3 // 2)) for height in (4, 8, 16)]
        together = module.encode(pictures).concat_BCHW
        assert all(
            torch.equal(together[i], module.encode([p]).concat_BCHW[0]) for i, p in enumerate(pictures)
        )

    def test_colour_for_a_grey_model(self):
        grey = Setting(
            image=ImageInfo(height=4, width=6, channels=1), space=SpaceInfo(channels=1, height=4, width=6)
        )
        part = ImageCondition()
        assert part.info(grey) == ConditionInfo(concat=1)
        module = part.build(setting=grey, codec=None)
        with pytest.raises(DiffloomError, match="3 channels, where the model's pictures have 1; convert it"):
            module.encode([part.check(noise(4, 6))])
        assert module.encode([part.check(noise(4, 6)[..., 0])]).concat_BCHW.shape == (1, 1, 4, 6)


class TestThroughTheSpace:
    def test_it_is_encoded_by_the_models_own_codec(self):
        codec = Coder()
        part, module = built(codec, through="space", scale=2.0)
        got = module.encode([part.check(noise()), part.check(noise(seed=1))]).concat_BCHW
        images_BCHW = torch.cat([scaled(noise()), scaled(noise(seed=1))]).float()
        assert torch.allclose(got, 2 * codec.encode(images_BCHW), atol=1e-6)
        assert not got.requires_grad
        assert part.info(SETTING) == ConditionInfo(concat=4)

    def test_the_codec_stays_the_models_and_computes_in_its_own_type(self):
        codec = Coder().to(torch.bfloat16)
        part, module = built(codec, through="space")
        assert list(module.parameters()) == []
        assert module.state_dict() == {}
        assert module.encode([part.check(noise())]).concat_BCHW.dtype == torch.float32
        assert codec.seen[0].dtype == torch.bfloat16

    def test_a_picture_of_the_spaces_size_is_too_small(self):
        part, module = built(Coder(), through="space")
        with pytest.raises(DiffloomError, match="4×6 pixels, where the model reads 16×24"):
            module.encode([part.check(noise(4, 6))])


class TestMask:
    def test_it_is_what_stable_diffusions_inpainting_reads(self, mask):
        """Mask and masked latents as StableDiffusionInpaintPipeline prepares them, behind the noisy latents."""
        mask_HW, _ = mask
        soft_HW = (mask_HW * 200 + 20).astype(np.uint8)  # neither black nor white
        processor = VaeImageProcessor(vae_scale_factor=4)
        masks = VaeImageProcessor(
            vae_scale_factor=4, do_normalize=False, do_binarize=True, do_convert_grayscale=True
        )
        image_BCHW = processor.preprocess(Image.fromarray(noise()), height=16, width=24)
        mask_BCHW = masks.preprocess(Image.fromarray(soft_HW), height=16, width=24)
        codec = Coder()
        wanted = torch.cat(
            [functional.interpolate(mask_BCHW, size=(4, 6)), codec.encode(image_BCHW * (mask_BCHW < 0.5))],
            dim=1,
        )
        part, module = built(codec, through="space", mask=True)
        got = module.encode([part.check((noise(), soft_HW))]).concat_BCHW
        assert got.shape == (1, 5, 4, 6)
        assert torch.allclose(got, wanted, atol=1e-6)
        assert part.info(SETTING) == ConditionInfo(concat=5)

    def test_all_that_is_a_mask(self, mask, tmp_path):
        mask_HW, path = mask
        Image.fromarray(noise()).save(tmp_path / "photo.png")
        part = ImageCondition(through="space", mask=True)
        ways = [
            path,
            Image.open(path),
            mask_HW,
            (mask_HW * 255).astype(np.uint8),
            torch.from_numpy(mask_HW)[None],
            torch.from_numpy(mask_HW).bfloat16(),
        ]
        pictures = [part.check((noise(), raw)) for raw in ways]
        pictures.append(part.parse(f"{tmp_path / 'photo.png'},{path}"))
        assert all(np.array_equal(picture.mask_HW, mask_HW) for picture in pictures)
        assert len({part.recorded(picture)["mask_sha256"] for picture in pictures}) == 1
        assert part.recorded(pictures[0]) != part.recorded(part.check((noise(), ~mask_HW)))

    def test_what_is_covered_leaves_no_trace(self, mask):
        """Not even through a filter that blends neighbours: it is taken out after resizing."""
        mask_HW, _ = mask
        other = np.where(mask_HW[..., None], noise(seed=1), noise())
        part, module = built(resize="nearest", mask=True)
        assert part.info(SETTING) == ConditionInfo(concat=4)
        one, two = (module.encode([part.check((pixels, mask_HW))]).concat_BCHW for pixels in (noise(), other))
        assert torch.equal(one, two)
        covered = functional.interpolate(
            torch.from_numpy(mask_HW)[None, None].float(), (4, 6), mode="nearest"
        )
        assert torch.equal(one[:, :1], covered)
        assert not one[:, 1:][covered.expand(1, 3, 4, 6).bool()].any()

    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            (noise(), r"expected a pair \(picture, mask\)"),
            ((noise(), None), "a mask is a file.*; not None"),
            ((noise(), noise()), r"a mask is a file.*; not uint8 of shape \(16, 24, 3\)"),
            ((noise(), np.full((16, 24), 2.0)), "a mask is a file.*; not float64"),
            (
                (noise(), np.zeros((4, 6), bool)),
                "the picture has 16×24 pixels and its mask 4×6; give them one size",
            ),
        ],
    )
    def test_mistakes(self, raw, message):
        with pytest.raises(ValueError, match=message):
            ImageCondition(mask=True).check(raw)

    def test_pictures_checked_for_another_purpose(self, mask):
        masked, plain = ImageCondition(mask=True), ImageCondition()
        with pytest.raises(ValueError, match="the picture: has no mask"):
            masked.check(plain.check(noise()))
        with pytest.raises(ValueError, match="the picture: has a mask, which is not used"):
            plain.check(masked.check((noise(), mask[0])))
        with pytest.raises(
            ValueError, match=r"expected a picture and its mask, photo\.png,mask\.png; got 'photo.png'"
        ):
            masked.parse("photo.png")


def test_the_null_condition_is_zeros_of_the_same_shape():
    for fields in ({}, {"mask": True}, {"through": "space"}, {"through": "space", "mask": True}):
        part, module = built(Coder(), **fields)
        null = module.null(3).concat_BCHW
        assert null.shape == (3, part.info(SETTING).concat, 4, 6)
        assert not null.any()
