"""diffusers' configurations. Oracle: diffusers itself, which builds what we write and whose files we read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from diffloom.bridge import Foreign, Inferred, MemoryTensors, fill, theirs_of
from diffloom.errors import CheckpointError
from diffloom.kinds import ImageInfo, Statistics
from diffloom_autoencoder import AutoencoderKL, AutoencoderVQ, TinyAutoencoder
from diffloom_autoencoder.bridges.levelled import DiffusersKL, FormerDiffusersKL
from diffloom_autoencoder.bridges.tiny import DiffusersTiny

SHAPES = ["KL", "KL that attends", "KL of 16 channels", "KL of one level", "VQ", "VQ that attends", "tiny"]
SHAPES += ["tiny of 16 channels"]
IMAGE = ImageInfo(32, 32, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_we_write_is_what_they_wrote(shape: str, make_twins: Callable[..., Any]) -> None:
    """Their class builds our configuration and takes our tensors; both are theirs again."""
    twins = make_twins(shape)
    config = twins.bridge.config(twins.inferred)
    again = type(twins.theirs).from_config(config)
    given = dict(twins.theirs.config)
    assert {key: config[key] for key in config if key in given and config[key] != _listed(given[key])} == {}
    tensors = theirs_of(twins.ours, twins.bridge)
    expected = twins.theirs.state_dict()
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in tensors)
    again.load_state_dict(tensors, strict=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_saved_and_read(shape: str, make_twins: Callable[..., Any], tmp_path: Any, bridge_of: Any) -> None:
    """config.json as it lies on the disk, lists for tuples."""
    import json

    twins = make_twins(shape)
    twins.theirs.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    _, inferred = bridge_of(type(twins.part), Foreign(twins.foreign.tensors, config))
    assert inferred.part == twins.part


def test_the_default_scale_is_told(make_twins: Callable[..., Any], bridge_of: Any) -> None:
    """Files of diffusers' first year say none: it was Stable Diffusion's."""
    twins = make_twins("KL")
    config = {key: value for key, value in twins.foreign.config.items() if key != "scaling_factor"}
    _, inferred = bridge_of(AutoencoderKL, Foreign(twins.foreign.tensors, config))
    assert inferred.part.scale == 0.18215
    assert (
        "latents are multiplied by 0.18215: diffusers' default, for want of scaling_factor" in inferred.told
    )


@pytest.mark.parametrize(("shape", "component"), [("KL that attends", AutoencoderKL), ("VQ", AutoencoderVQ)])
def test_the_names_of_their_first_year(
    shape: str, component: Any, make_twins: Callable[..., Any], bridge_of: Any
) -> None:
    """Oracle: what diffusers renames when it reads such files."""
    twins = make_twins(shape)
    former = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = dict(twins.theirs.state_dict())
    for name in list(tensors):
        for now, then in former.items():
            if f".{now}." in name:
                tensors[name.replace(f".{now}.", f".{then}.")] = tensors.pop(name)
    renamed = dict(tensors)
    twins.theirs._fix_state_dict_keys_on_load(renamed)
    assert renamed.keys() == twins.theirs.state_dict().keys() != tensors.keys()
    foreign = Foreign(MemoryTensors(tensors), twins.foreign.config)
    bridge, inferred = bridge_of(component, foreign)
    assert type(bridge).__name__.startswith("Former")
    assert inferred.part == twins.part
    ours = inferred.build()
    fill(ours, foreign.tensors, bridge)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), twins.ours.parameters(), strict=True))


@pytest.mark.parametrize(
    ("shape", "options", "told"),
    [
        ("KL", {"act_fn": "relu"}, "act_fn 'relu'"),
        ("KL", {"mid_block_add_attention": False}, "mid_block_add_attention False"),
        ("KL", {"use_post_quant_conv": False}, "use_post_quant_conv False"),
        ("KL", {"latents_mean": [0.0] * 4}, "latents_mean (0.0, 0.0, 0.0, 0.0)"),
        ("KL", {"out_channels": 4}, "out_channels 4"),
        ("KL", {"up_block_types": ["AttnUpDecoderBlock2D", *["UpDecoderBlock2D"] * 2]}, "up_block_types"),
        ("KL", {"norm_variety": "spatial"}, "norm_variety 'spatial'"),
        ("VQ", {"norm_type": "spatial"}, "norm_type 'spatial'"),
        ("VQ", {"vq_embed_dim": 7}, "vq_embed_dim 7"),
        ("tiny", {"act_fn": "silu"}, "act_fn 'silu'"),
        ("tiny", {"upsampling_scaling_factor": 3}, "upsampling_scaling_factor 3"),
        ("tiny", {"num_decoder_blocks": [3, 3, 1, 3]}, "num_decoder_blocks"),
    ],
)
def test_what_is_not_ours_is_refused(
    shape: str, options: dict[str, Any], told: str, make_twins: Callable[..., Any]
) -> None:
    twins = make_twins(shape)
    foreign = Foreign(twins.foreign.tensors, {**twins.foreign.config, **options})
    with pytest.raises(CheckpointError, match="is no network of ours") as caught:
        twins.bridge.infer(foreign)
    assert told in str(caught.value)


STATISTICS = {"statistics": Statistics(mean=(0.0,) * 4, std=(1.0,) * 4, examples=9, data="abc")}


@pytest.mark.parametrize(
    ("part", "bridge", "told"),
    [
        (AutoencoderKL(**STATISTICS), DiffusersKL(), "cannot say `statistics`"),
        (TinyAutoencoder(**STATISTICS), DiffusersTiny(), "cannot say `statistics`"),
        (AutoencoderVQ(shift=0.5), AutoencoderVQ.bridges()[0], "cannot say shift 0.5"),
        (TinyAutoencoder(pooled_middle=True), DiffusersTiny(), "cannot express pooled_middle"),
    ],
)
def test_what_is_not_theirs_is_refused(part: Any, bridge: Any, told: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        bridge.config(Inferred(part, {"image": IMAGE}))


def test_a_network_outside_their_usual_groups_is_asked_about(make_twins: Callable[..., Any]) -> None:
    """Without a configuration nothing says how many groups a normalisation has."""
    from diffloom.bridge import AmbiguousError

    twins = make_twins("KL")
    with pytest.raises(AmbiguousError, match=r"--assume norm_groups=4: groups of 2, 4, 4 channels"):
        DiffusersKL().infer(Foreign(twins.foreign.tensors))
    told = Foreign(twins.foreign.tensors, assume={"norm_groups": "4", "scale": "0.18215"})
    inferred = DiffusersKL().infer(told)
    assert inferred is not None
    assert inferred.part == twins.part
    assert FormerDiffusersKL().infer(told) is None
    with pytest.raises(CheckpointError, match="norm_groups=many: it is a number"):
        DiffusersKL().infer(Foreign(twins.foreign.tensors, assume={"norm_groups": "many"}))
    with pytest.raises(CheckpointError, match="scale=big: it is a number"):
        DiffusersKL().infer(Foreign(twins.foreign.tensors, assume={"norm_groups": "4", "scale": "big"}))


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
