"""A tiny autoencoder in two files. Oracle: the network whose sides they hold."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import diffloom
from diffloom.bridge import theirs_of
from diffloom.errors import CheckpointError
from diffloom.kinds import ImageInfo
from diffloom_autoencoder import TinyAutoencoder

IMAGE = ImageInfo(height=32, width=32, channels=3)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, torch.nn.Module]:
    """An encoder's file, a decoder's, and the network."""
    folder = tmp_path_factory.mktemp("sides")
    component = TinyAutoencoder(channels=16, blocks=(1, 1), latent_channels=5)
    module = component.build(image=IMAGE)
    (bridge,) = [bridge for bridge in component.bridges() if bridge.format == "taesd"]
    tensors = theirs_of(module, bridge)
    files = []
    for side in ("encoder", "decoder"):
        own = {n.removeprefix(f"{side}."): t for n, t in tensors.items() if n.startswith(f"{side}.")}
        files.append(folder / f"tae_{side}_v2.safetensors")
        save_file(own, files[-1])
    return files[0], files[1], module


@pytest.mark.parametrize("named", [0, 1])
def test_either_file_names_both(named: int, sides: tuple[Path, Path, torch.nn.Module]) -> None:
    loaded = diffloom.load_component(sides[named], device="cpu")
    expected = sides[2].state_dict()
    found = loaded.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_one_side_alone_is_refused(sides: tuple[Path, Path, torch.nn.Module], tmp_path: Path) -> None:
    alone = tmp_path / "tae_encoder.safetensors"
    alone.write_bytes(sides[0].read_bytes())
    with pytest.raises(
        CheckpointError, match="is one side of a tiny autoencoder; put the other's file beside it"
    ):
        diffloom.load_component(alone, device="cpu")
