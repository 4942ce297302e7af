"""The Python API. Oracles: the formulas written out here, and the promise that noise is a function of its key."""

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import diffloom
from diffloom import Pipeline
from diffloom.condition import Condition
from diffloom.errors import ConfigError, DiffloomError
from diffloom.process import Draws, keyed_generator
from diffloom_samplers import DDIM

# float32 convolutions sum in another order in another batch size: 1e-6 a call, over a few steps
SAME = {"atol": 1e-5, "rtol": 0.0}


def test_parts_can_be_reached(small_model: Pipeline) -> None:
    assert small_model.backbone is small_model.module["backbone"]
    assert list(small_model.conditioners) == ["label"]
    assert small_model.schedule.steps == 1000
    x_BCHW = torch.rand(2, 1, 8, 8)
    assert torch.equal(small_model.space.decode(small_model.space.encode(x_BCHW)), x_BCHW)
    output = small_model.prediction.target(x_BCHW, x_BCHW, 0.6, 0.8)
    torch.testing.assert_close(output, (0.6 - 0.8) * x_BCHW)  # v = alpha·ε − sigma·x₀
    assert callable(small_model.sampler)


def test_output(small_model: Pipeline) -> None:
    out = small_model.sample(label=[3, 7], seed=0, steps=3, guidance=3.0)
    assert out.tensor.shape == (2, 1, 8, 8)
    assert out.tensor.dtype == torch.float32
    assert out.tensor.abs().max() <= 1
    assert [image.size for image in out.images] == [(8, 8), (8, 8)]
    assert out.grid(columns=2).size == (2 * 66 + 2, 66 + 2)


def test_images_do_not_depend_on_the_batch(small_model: Pipeline) -> None:
    together = small_model.sample(label=[1, 2, 3, 4, 5], seed=9, steps=6).tensor
    split = small_model.sample(label=[1, 2, 3, 4, 5], seed=9, steps=6, batch_size=2).tensor
    alone = small_model.sample(label=4, seed=[(9, 3)], steps=6).tensor
    backwards = small_model.sample(
        label=[5, 4, 3, 2, 1], seed=[(9, i) for i in (4, 3, 2, 1, 0)], steps=6
    ).tensor
    torch.testing.assert_close(split, together, **SAME)
    torch.testing.assert_close(alone[0], together[3], **SAME)
    torch.testing.assert_close(backwards.flip(0), together, **SAME)


@pytest.mark.parametrize("sampler", ["ddpm", {"type": "ddim", "eta": 1.0}])
def test_images_of_stochastic_samplers_neither(small_model: Pipeline, sampler: object) -> None:
    together = small_model.sample(label=[1, 2, 3], seed=9, steps=6, sampler=sampler).tensor
    alone = small_model.sample(label=3, seed=[(9, 2)], steps=6, sampler=sampler).tensor
    torch.testing.assert_close(alone[0], together[2], **SAME)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), min_size=1, max_size=6, unique=True
    ),
    st.randoms(),
)
def test_noise_is_bit_equal_in_any_batch_and_order(keys: list[tuple[int, int]], random: object) -> None:
    shuffled = list(keys)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    together = Draws(tuple(shuffled), step=3).normal("step", (2, 3))
    for key, row in zip(shuffled, together, strict=True):
        assert torch.equal(Draws((key,), step=3).normal("step", (2, 3))[0], row)


def test_stream_starts_at_keyed_noise_and_ends_at_the_sample(small_model: Pipeline) -> None:
    steps = list(small_model.stream(label=3, seed=5, steps=4))
    assert [step.index for step in steps] == [0, 1, 2, 3]
    assert [step.t for step in steps] == [999, 749, 499, 249]
    prior = keyed_generator(5, 0, 0, "prior").standard_normal((1, 1, 8, 8), dtype="float32")
    assert torch.equal(steps[0].x_t_BCHW, torch.from_numpy(prior))
    final = small_model.sample(label=3, seed=5, steps=4).tensor
    assert torch.equal(steps[-1].following_BCHW.clamp(-1, 1), final)


def test_leaving_the_stream_cancels(small_model: Pipeline) -> None:
    calls = 0

    def counted(*_: object) -> None:
        nonlocal calls
        calls += 1

    hook = small_model.backbone.register_forward_hook(counted)
    try:
        assert len(list(islice(small_model.stream(label=3, seed=0, steps=100), 2))) == 2
    finally:
        hook.remove()
    assert calls == 2


def test_gradients_stay_on_for_the_one_who_loops(small_model: Pipeline) -> None:
    for step in small_model.stream(label=3, seed=0, steps=2):
        assert torch.is_grad_enabled()
        assert not step.x0_BCHW.requires_grad
        assert not step.x0_BCHW.is_inference()


def guided_by_hand(pipe: Pipeline, x_t: Tensor, t: float, label: int, scale: float) -> tuple[Tensor, Tensor]:
    """Classifier-free guidance on v, then v → x₀, clipped, ε re-derived: straight from the formulas."""
    rows = torch.full((len(x_t),), label)
    times = torch.full((len(x_t),), t)
    with torch.no_grad():
        v_cond = pipe.backbone(x_t, times, Condition(class_B=rows))
        v_null = pipe.backbone(x_t, times, Condition(class_B=torch.full_like(rows, 10)))
    v = v_null + scale * (v_cond - v_null)
    alpha, sigma = (float(f(torch.tensor([t]))) for f in (pipe.schedule.alpha, pipe.schedule.sigma))
    x0 = (alpha * x_t - sigma * v).clamp(-1, 1)
    return x0, (x_t - alpha * x0) / sigma


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_denoise_is_the_formula(small_model: Pipeline, scale: float) -> None:
    x_t = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    denoised = small_model.denoise(x_t, 600, label=3, guidance=scale)
    x0, eps = guided_by_hand(small_model, x_t, 600, 3, scale)
    torch.testing.assert_close(denoised.x0_BCHW, x0, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(denoised.eps_BCHW, eps, atol=1e-5, rtol=1e-5)


def test_a_model_computes_in_the_type_of_its_weights(small_model: Pipeline) -> None:
    small_model.module.double()
    try:
        exact = small_model.sample(label=3, steps=2)
    finally:
        small_model.module.float()
    assert exact.tensor.dtype == torch.float32
    torch.testing.assert_close(exact.tensor, small_model.sample(label=3, steps=2).tensor, **SAME)


def test_ddim_walk_is_the_formula(small_model: Pipeline) -> None:
    x_BCHW = Draws(((4, 0),)).normal("prior", (1, 8, 8))
    times = [999.0, 749.0, 499.0, 249.0]
    for t, following in zip(times, [*times[1:], None], strict=True):
        x0, eps = guided_by_hand(small_model, x_BCHW, t, 6, 2.0)
        alpha, sigma = (
            (1.0, 0.0)
            if following is None
            else (
                float(f(torch.tensor([following])))
                for f in (small_model.schedule.alpha, small_model.schedule.sigma)
            )
        )
        x_BCHW = alpha * x0 + sigma * eps
    drawn = small_model.sample(label=6, seed=4, steps=4, guidance=2.0, sampler="ddim").tensor
    torch.testing.assert_close(drawn, x_BCHW.clamp(-1, 1), atol=1e-5, rtol=0)


def test_recipe_draws_the_same_again(small_model: Pipeline) -> None:
    out = small_model.sample(label=[3, 7], seed=8, steps=3, sampler="ddpm", guidance=1.5)
    recipe = out.recipe
    assert recipe["seeds"] == [[8, 0], [8, 1]]
    sampling = recipe["sampling"]
    again = small_model.sample(
        **recipe["conditions"],
        seed=[tuple(key) for key in recipe["seeds"]],
        **{name: sampling[name] for name in ("sampler", "steps", "spacing", "guidance")},
    )
    assert torch.equal(again.tensor, out.tensor)
    assert out.recipe_of(1)["seeds"] == [[8, 1]]
    assert out.recipe_of(1)["conditions"] == {"label": [7]}


def test_a_walk_of_ones_own_is_used_and_not_passed_off_as_the_configured_one(small_model: Pipeline) -> None:
    walk = DDIM(eta=1.0)
    out = small_model.sample(label=3, seed=2, steps=4, sampler=walk)
    named = small_model.sample(label=3, seed=2, steps=4, sampler={"type": "ddim", "eta": 1.0})
    assert torch.equal(out.tensor, named.tensor)
    assert out.recipe["sampling"]["sampler"] == repr(walk)
    assert named.recipe["sampling"]["sampler"] == {"type": "diffloom/ddim", "eta": 1.0}


def test_changing_the_sampler_keeps_everything_else(small_model: Pipeline) -> None:
    sampling = small_model.sample(label=1, steps=2, sampler="ddpm").recipe["sampling"]
    assert sampling["spacing"] == {"type": "diffloom/trailing"}
    assert sampling["clip"] == 1.0
    assert sampling["guidance"]["scale"] == 2.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": 12}, r"label: label 12 is out of range"),
        ({"labl": 3}, r"labl: this model has no such condition; did you mean 'label'\? \(it has: label\)"),
        ({"label": [1, 2], "n": 3}, r"label: 2 values for 3 samples"),
        ({"label": [1, 2], "seed": [1]}, r"label: 2 values for 1 samples"),
        ({"label": 3, "seed": -1}, r"seed -1, sample 0: both must be between"),
    ],
)
def test_refusals(small_model: Pipeline, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DiffloomError, match=message):
        small_model.sample(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampler": "ddimm"}, r"unknown sampler 'ddimm'; did you mean 'ddim'\?"),
        ({"steps": 0}, r"sampling\.steps"),
        ({"steps": 1001}, r"1001"),
        ({"guidance": "fast"}, r"unknown guidance 'fast'"),
        ({"sampler": {"type": "ddim", "eta": 2.0}}, r"eta"),
    ],
)
def test_changes_are_checked_like_a_file(
    small_model: Pipeline, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        small_model.sample(label=3, **change)


def test_equal_seeds_build_equal_weights(configs: object) -> None:
    def built(seed: int) -> list[Tensor]:
        small = ["backbone.channels=[8,16]", "backbone.head_channels=8", "backbone.norm_groups=4"]
        return list(diffloom.build(f"{configs}/digits.yaml", small, seed=seed).module.parameters())

    one = built(3)
    torch.manual_seed(0)  # what torch's own generator holds does not matter
    two, other = built(3), built(4)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_walk_starts_where_it_is_told(small_model: Pipeline) -> None:
    """At the very noise that the seed would have drawn it is the seed's sample; the recipe says which start it was."""
    prior = Draws(((5, 0), (5, 1), (5, 2))).normal("prior", (1, 8, 8))
    drawn = small_model.sample(label=[1, 2, 3], seed=5, steps=3)
    for start, batch_size in ((prior, None), (prior, 2), (prior.clone(), 1)):
        given = small_model.sample(label=[1, 2, 3], steps=3, start=start, batch_size=batch_size)
        torch.testing.assert_close(given.tensor, drawn.tensor, **SAME)
        assert len(given.recipe["start"]) == 64
    assert next(small_model.stream(label=[1, 2, 3], steps=3, start=prior)).x_t_BCHW is prior
    other = small_model.sample(label=[1, 2, 3], steps=3, start=prior + 0.01)
    assert other.recipe["start"] != given.recipe["start"]
    assert "start" not in drawn.recipe


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 1, 4, 4), r"start: \(3, 1, 4, 4\) does not begin 3 walks in a space of \(1, 8, 8\)"),
        ((3, 8, 8), r"start: \(3, 8, 8\) does not begin 3 walks"),
        ((2, 1, 8, 8), "label: 3 values for 2 samples"),
    ],
)
def test_a_start_of_another_shape_is_refused(
    small_model: Pipeline, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(DiffloomError, match=message):
        small_model.sample(label=[1, 2, 3], steps=2, start=torch.zeros(shape))


def test_a_start_says_how_many_samples_there_are(small_model: Pipeline) -> None:
    assert small_model.sample(label=3, steps=2, start=torch.zeros(4, 1, 8, 8)).tensor.shape == (4, 1, 8, 8)


@pytest.mark.parametrize(
    "sampler",
    [
        "euler",
        "heun",
        "dpm2",
        "euler_ancestral",
        "dpm2_ancestral",
        "dpm_solver_2s",
        "dpm_solver_3s",
        "dpmpp_2s",
    ],
)
def test_samplers_are_chosen_by_name(small_model: Pipeline, sampler: str) -> None:
    """A step into the clean picture and one before it: their own steps are tested with the samplers."""
    out = small_model.sample(label=[3, 7], seed=1, steps=2, sampler=sampler)
    assert out.tensor.isfinite().all()
    assert out.recipe["sampling"]["sampler"]["type"] == f"diffloom/{sampler}"
    alone = small_model.sample(label=7, seed=[(1, 1)], steps=2, sampler=sampler)
    torch.testing.assert_close(alone.tensor[0], out.tensor[1], **SAME)
