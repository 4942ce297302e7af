"""What the conformance kit's specimens show; the kit itself examines all of diffloom's components in one test."""

from __future__ import annotations

from pathlib import Path

from diffloom.kinds import ImageInfo, PosteriorCodec, TrainableCodec
from diffloom_autoencoder import AutoencoderKL, AutoencoderVQ, TinyAutoencoder

IMAGE = ImageInfo(32, 32, 3)


def test_a_specimen_of_kl_draws_and_one_does_not(tmp_path: Path) -> None:
    made = [part.build(image=IMAGE) for part in AutoencoderKL.specimens(tmp_path)]
    assert [isinstance(codec, PosteriorCodec) for codec in made] == [True, False]


def test_all_can_be_trained(tmp_path: Path) -> None:
    for component in (AutoencoderKL, AutoencoderVQ, TinyAutoencoder):
        assert all(isinstance(p.build(image=IMAGE), TrainableCodec) for p in component.specimens(tmp_path))
