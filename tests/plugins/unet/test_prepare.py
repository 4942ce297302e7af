"""Texts and times are projected once for a walk. Oracle: calls counted by hooks; the walk that projects every time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import diffloom
from diffloom import Pipeline
from diffloom.condition import Condition
from diffloom.nn import CrossAttention, ResidualBlock
from diffloom.nn import projections as projections_module
from diffloom_unet import UNetModel

LAYERS = 16  # of Stable Diffusion's shape: six on the way down, one in the middle, nine on the way up
STABLE_DIFFUSION_SMALL = [
    "conditioners.label={type: class_token, classes: 10, width: 6, dropout: 0.1}",
    "backbone={type: cross_attention_unet, channels: [8, 16, 16, 16], heads: 2, norm_groups: 4}",
]


@pytest.fixture(scope="module")
def model() -> Pipeline:
    pipe = diffloom.build(
        Path(__file__).parents[3] / "configs" / "digits.yaml", STABLE_DIFFUSION_SMALL, device="cpu"
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in pipe.module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return pipe


@pytest.fixture
def projections(model: Pipeline) -> Iterator[list[str]]:
    """The layer that projected tokens, at every projection."""
    calls: list[str] = []
    hooks = [
        part.kv.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, part in model.backbone.named_modules()
        if isinstance(part, CrossAttention)
    ]
    assert len(hooks) == LAYERS
    yield calls
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("steps", [2, 7])
def test_a_walk_projects_its_tokens_once(model: Pipeline, projections: list[str], steps: int) -> None:
    walk: dict[str, Any] = {"label": [3, 7], "steps": steps, "guidance": 2.0, "seed": 0}
    once = model.sample(**walk).tensor
    assert len(projections) == len(set(projections)) == LAYERS
    projections.clear()
    model.backbone.prepare = lambda condition, times: condition  # type: ignore[assignment]
    try:
        every_time = model.sample(**walk).tensor
    finally:
        del model.backbone.prepare
    assert len(projections) == LAYERS * steps
    # embeddings of all times in one product sum in another order
    torch.testing.assert_close(once, every_time, rtol=0, atol=1e-5)


def test_what_was_prepared_for_one_condition_is_not_another_s(
    model: Pipeline, projections: list[str]
) -> None:
    torch.manual_seed(0)
    network, x, t = model.backbone, torch.randn(2, 1, 8, 8), torch.tensor([10.0, 900.0])
    first = Condition(tokens_BLD=torch.randn(2, 3, 6))
    second = Condition(tokens_BLD=torch.randn(2, 3, 6))
    with torch.no_grad():
        expected = network(x, t, second)
        prepared = network.prepare(first)
        projections.clear()
        assert torch.equal(network(x, t, prepared), network(x, t, first))
        changed = prepared.where(
            torch.tensor([False, False]), second
        )  # whatever changes it leaves the memory behind
        assert torch.equal(network(x, t, changed), expected)
        assert (network(x, t, prepared) - expected).abs().amax(dim=(1, 2, 3)).min() > 1e-4
    assert len(projections) == 2 * LAYERS  # for the bare first, and the changed one


def test_a_network_without_tokens_and_times_has_nothing_to_prepare() -> None:
    condition = Condition(class_B=torch.tensor([1]))
    network = UNetModel(channels=(8,), attention_levels=(), norm_groups=4, classes=3)
    assert network.prepare(condition) is condition


@pytest.mark.parametrize("steps", [2, 7])
def test_a_walk_embeds_its_times_once(model: Pipeline, steps: int) -> None:
    """Each block's projection, and each layer of the time's, once for each condition, whatever the steps."""
    parts = {name: part for name, part in model.backbone.named_modules() if isinstance(part, ResidualBlock)}
    layers = [part.emb for part in parts.values()] + [model.backbone.time.expand, model.backbone.time.mix]
    calls: list[object] = []
    hooks = [layer.register_forward_hook(lambda layer, *_: calls.append(layer)) for layer in layers]
    model.sample(label=[3, 7], steps=steps, guidance=2.0, seed=0)
    for hook in hooks:
        hook.remove()
    assert len(parts) == 22
    assert len(calls) == len(set(calls)) == len(layers)


def test_more_than_the_bound_is_computed_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    network = UNetModel(channels=(8, 16), attention_levels=(), norm_groups=4, classes=3).eval()
    many = Condition(class_B=torch.arange(64) % 3)
    one = network.prepare(many, times=[5.0])
    taken = sum(part.numel() * part.element_size() for parts in one.memory.values() for part in parts)
    monkeypatch.setattr(projections_module, "REMEMBERED_BYTES", taken)
    assert network.prepare(many, times=[5.0]).memory
    assert network.prepare(many, times=[5.0, 6.0]) is many


def test_a_time_of_one_row_is_not_another_s() -> None:
    """Rows at different times are embedded each for itself, prepared or not."""
    torch.manual_seed(0)
    network = UNetModel(channels=(8, 16), attention_levels=(), norm_groups=4).eval()
    for parameter in network.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    x, t_B = torch.randn(2, 3, 8, 8), torch.tensor([5.0, 900.0])
    with torch.no_grad():
        prepared = network.prepare(Condition(), times=[5.0, 900.0])
        assert torch.equal(network(x, t_B, prepared), network(x, t_B))
        at_900 = network(x, t_B.flip(0).clone().fill_(900.0), prepared)
        torch.testing.assert_close(at_900[1], network(x, t_B)[1], rtol=0, atol=1e-5)
