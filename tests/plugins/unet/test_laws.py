"""Laws that hold for every configuration; hypothesis draws the configurations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet import CrossAttentionUNet, CrossAttentionUNetModel, UNet, UNetModel
from diffloom_unet.network import Network

quick = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Case:
    """A configuration, what it is built for, and how many rows it is given."""

    config: UNet | CrossAttentionUNet
    space: SpaceInfo
    info: ConditionInfo
    rows: int

    def build(self) -> Any:
        return self.config.build(space=self.space, condition=self.info)

    def inputs(self) -> tuple[Tensor, Tensor, Condition]:
        """Random x, times and condition."""
        info, size = self.info, (self.space.height, self.space.width)
        return (
            torch.randn(self.rows, *self.space.shape),
            torch.rand(self.rows) * 999,
            Condition(
                class_B=torch.randint(info.classes, (self.rows,)) if info.classes else None,
                vector_BD=torch.randn(self.rows, info.vector) if info.vector else None,
                tokens_BLD=torch.randn(self.rows, 3, info.tokens) if info.tokens else None,
                concat_BCHW=torch.randn(self.rows, info.concat, *size) if info.concat else None,
            ),
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Small networks of every habit."""
    levels = draw(st.integers(1, 3))
    sides = st.integers(2, 4).map(lambda side: side << (levels - 1))
    space = SpaceInfo(channels=draw(st.integers(1, 4)), height=draw(sides), width=draw(sides))
    habits: dict[str, Any] = {
        "channels": tuple(draw(st.lists(st.sampled_from([8, 16, 24]), min_size=levels, max_size=levels))),
        "blocks_per_level": draw(st.integers(1, 2)),
        "norm_groups": draw(st.sampled_from([1, 2, 4])),
        "dropout": draw(st.sampled_from([0.0, 0.5])),
        "embedding": draw(st.sampled_from(["add", "scale_shift"])),
        "resample": draw(st.sampled_from(["conv", "residual"])),
        "downsample_padding": draw(st.sampled_from(["asymmetric", "symmetric"])),
        "time_width": draw(st.sampled_from([None, 12])),
        "time_cos_first": draw(st.booleans()),
        "time_frequency_shift": draw(st.sampled_from([0, 1])),
        "learn_variance": draw(st.booleans()),
        **draw(st.sampled_from([{}, {"heads": 4}, {"head_channels": 2}, {"head_channels": 8}])),
    }
    info = ConditionInfo(
        classes=draw(st.sampled_from([0, 3])),
        vector=draw(st.sampled_from([0, 5])),
        tokens=draw(st.sampled_from([0, 7])),
        concat=draw(st.sampled_from([0, 2])),
    )
    config: UNet | CrossAttentionUNet
    if info.tokens:
        depths = draw(st.lists(st.integers(0, 2), min_size=levels, max_size=levels))
        config = CrossAttentionUNet(
            transformer_depth=tuple(depths),
            middle_depth=draw(st.integers(0 if any(depths) else 1, 1)),
            projection=draw(st.sampled_from(["conv", "linear"])),
            **habits,
        )
    else:
        resolutions = [min(space.height, space.width) >> level for level in range(levels)]
        config = UNet(attention_resolutions=tuple(draw(st.sets(st.sampled_from(resolutions)))), **habits)
    return Case(config=config, space=space, info=info, rows=draw(st.integers(1, 4)))


@given(case=cases(), seed=st.integers(0, 2**31))
@quick
def test_shape_and_rows_that_do_not_see_each_other(
    case: Case, seed: int, shaken: Callable[[Network], Network]
) -> None:
    torch.manual_seed(seed)
    network = shaken(case.build())
    x, t, condition = case.inputs()
    with torch.no_grad():
        together = network(x, t, condition)
        alone = [
            network(
                x[row : row + 1], t[row : row + 1], condition.map(lambda slot, row=row: slot[row : row + 1])
            )
            for row in range(case.rows)
        ]
    channels = case.space.channels * (2 if case.config.learn_variance else 1)
    assert together.shape == (case.rows, channels, case.space.height, case.space.width)
    assert (torch.cat(alone) - together).abs().max() < 1e-5 * together.abs().max()


@given(case=cases(), seed=st.integers(0, 2**31))
@quick
def test_fresh_networks_answer_zero(case: Case, seed: int) -> None:
    torch.manual_seed(seed)
    assert not case.build()(*case.inputs()).any()


@given(case=cases(), seed=st.integers(0, 2**31))
@quick
def test_dropout_only_trains(case: Case, seed: int, shaken: Callable[[Network], Network]) -> None:
    torch.manual_seed(seed)
    network = shaken(case.build())
    inputs = case.inputs()
    with torch.no_grad():
        still = network(*inputs)
        assert torch.equal(network(*inputs), still)
        network.train()
        assert torch.equal(network(*inputs), still) == (case.config.dropout == 0)


@given(case=cases().filter(lambda case: case.info.classes and case.info.concat), seed=st.integers(0, 2**31))
@settings(quick, max_examples=10)
def test_every_input_matters(case: Case, seed: int, shaken: Callable[[Network], Network]) -> None:
    torch.manual_seed(seed)
    network = shaken(case.build())
    x, t, condition = case.inputs()
    others = {"class_B": (condition.class_B + 1) % 3, "concat_BCHW": condition.concat_BCHW + 1}
    if case.info.vector:
        others["vector_BD"] = condition.vector_BD + 1
    if case.info.tokens:
        others["tokens_BLD"] = condition.tokens_BLD.flip(2)
    with torch.no_grad():
        out = network(x, t, condition)
        changed = [network(x + 1, t, condition), network(x, t + 1, condition)]
        changed += [network(x, t, replace(condition, **{slot: other})) for slot, other in others.items()]
    for other in changed:
        assert (other - out).abs().amax(dim=(1, 2, 3)).min() > 1e-5 * out.abs().max()  # in every row


@given(case=cases().filter(lambda case: case.info.tokens), seed=st.integers(0, 2**31))
@settings(quick, max_examples=10)
def test_tokens_have_no_order_and_padding_no_effect(
    case: Case, seed: int, shaken: Callable[[Network], Network]
) -> None:
    torch.manual_seed(seed)
    network = shaken(case.build()).double()
    x, t, condition = case.inputs()
    x, condition = x.double(), condition.map(lambda slot: slot.double() if slot.is_floating_point() else slot)
    tokens = condition.tokens_BLD
    padded = torch.cat([tokens[:, torch.randperm(3)], 9 * torch.randn(case.rows, 2, case.info.tokens)], dim=1)
    mask = torch.tensor([True] * 3 + [False] * 2).expand(case.rows, 5)
    with torch.no_grad():
        out = network(x, t, condition)
        other = network(x, t, replace(condition, tokens_BLD=padded, mask_BL=mask))
    assert (other - out).abs().max() < 1e-12 * out.abs().max()


@pytest.fixture(params=["unet", "cross-attention"])
def network(request: pytest.FixtureRequest, shaken: Callable[[Network], Network]) -> Network:
    torch.manual_seed(0)
    if request.param == "unet":
        return shaken(UNetModel(channels=(32, 64), attention_levels=(1,), head_channels=16))
    return shaken(
        CrossAttentionUNetModel(
            channels=(32, 64),
            in_channels=3,
            token_width=6,
            transformer_depth=(0, 1),
            head_channels=16,
            vector_width=5,
        )
    )


def condition_of(network: Network, rows: int) -> Condition:
    """Random numbers in the slots that it reads."""
    widths = {"vector_BD": (5,), "tokens_BLD": (3, 6)}
    return Condition(**{slot: torch.randn(rows, *widths[slot]) for slot in sorted(network.slots)})


def test_channels_last_stays_channels_last(network: Network) -> None:
    """Same numbers, and no layer on the way turns the memory back, which would cost a copy."""
    x, t, condition = torch.randn(2, 3, 8, 8), torch.tensor([3.0, 700.0]), condition_of(network, 2)
    expected = network(x, t, condition)
    turned: list[str] = []

    def watch(name: str) -> Callable[..., None]:
        def look(module: torch.nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            if output.dim() == 4 and not output.is_contiguous(memory_format=torch.channels_last):
                turned.append(name)

        return look

    network.to(memory_format=torch.channels_last)
    for name, module in network.named_modules():
        module.register_forward_hook(watch(name))
    out = network(x.contiguous(memory_format=torch.channels_last), t, condition)
    assert turned == []
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


def test_bfloat16_network_tells_neighbouring_times_apart(network: Network) -> None:
    x, t, condition = torch.randn(1, 3, 8, 8), torch.tensor([998.0]), condition_of(network, 1)
    exact = network(x, t, condition)
    network.bfloat16()
    rounded = condition.map(Tensor.bfloat16)
    near, neighbour = (network(x.bfloat16(), time, rounded) for time in (t, t + 1))
    assert near.dtype == torch.bfloat16
    # 8 bits of mantissa: 0.4 % each layer, here some thirty layers deep
    assert (near - exact).abs().max() < 0.05 * exact.abs().max()
    assert not torch.equal(near, neighbour)


def test_levels_there_are_not() -> None:
    with pytest.raises(ValueError, match=r"attention_levels \[2\]: there are 2 levels"):
        UNetModel(channels=(32, 64), attention_levels=(2,))


def test_a_group_of_one_channel_is_blind_to_time(shaken: Callable[[Network], Network]) -> None:
    """Why the component refuses it: what is added to a whole channel is what its own normalisation takes away."""
    torch.manual_seed(0)
    x = torch.randn(1, 3, 8, 8)
    for norm_groups, blind in ((8, True), (4, False)):
        network = shaken(UNetModel(channels=(8, 8), norm_groups=norm_groups)).double()
        early, late = (network(x.double(), torch.tensor([t])) for t in (10.0, 900.0))
        assert ((early - late).abs().max() < 1e-10 * early.abs().max()) == blind
