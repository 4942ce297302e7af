"""Curves of schedules. Oracles: published constants, and the papers' formulas in β and ᾱ."""

import pytest
import torch

from diffloom import config
from diffloom.inspection.curves import curves_of
from diffloom.inspection.schedule_source import curves_from
from diffloom.plugins import load_registry
from diffloom.process import Process
from diffloom.registry import Registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def test_the_linear_table_in_the_paper_s_own_terms(registry):
    curves = curves_from("linear", registry=registry)
    beta = torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64)  # Ho et al. 2020, section 4
    alpha_bar = (1 - beta).cumprod(0)
    torch.testing.assert_close(curves.beta, beta, rtol=1e-9, atol=0)
    torch.testing.assert_close(curves.alpha**2, alpha_bar, rtol=1e-12, atol=0)
    # eq. 12 of Ho et al. 2020, with σ² = β̃ = β·(1 − ᾱ of the time before)/(1 − ᾱ)
    before = alpha_bar[:-1]
    posterior = beta[1:] * (1 - before) / (1 - alpha_bar[1:])
    due = beta[1:] ** 2 / (2 * posterior * (1 - beta[1:]) * (1 - alpha_bar[1:]))
    torch.testing.assert_close(curves.bound_weight[1:], due, rtol=1e-8, atol=0)
    assert curves.bound_weight[0].isnan()  # into the clean level there is a likelihood, and no such term
    assert (curves.share[0], curves.share[-1], curves.t[-1]) == (0, 1, 999)
    assert not curves.continuous


def test_noise_that_is_only_added_adds_the_difference_of_squares(registry):
    curves = curves_from("ve", registry=registry)
    assert curves.continuous
    assert torch.equal(curves.alpha, torch.ones(1000, dtype=torch.float64))
    torch.testing.assert_close(curves.beta[1:], curves.sigma[1:] ** 2 - curves.sigma[:-1] ** 2)
    assert curves.beta[0].isnan()  # the first time of a continuous axis has none before it
    steps = curves.bound_weight[1:]
    torch.testing.assert_close(steps, steps[:1].expand(999))  # sigma is geometric: all factors are equal


def test_a_shifted_flow_is_drawn_as_it_is_trained(registry):
    curves = curves_from("{type: flow, shift: 3.0, first: 1.0e-9}", registry=registry)
    # t = 3u/(1 + 2u), Esser et al. 2024, eq. 23
    found = [curves.t[round(share * 999)].item() for share in (0.25, 0.5, 0.75)]
    due = [3 * u / (1 + 2 * u) for u in (round(share * 999) / 999 for share in (0.25, 0.5, 0.75))]
    assert found == pytest.approx(due, rel=1e-6)
    torch.testing.assert_close(curves.sigma, curves.t)


def test_where_no_signal_is_left_curves_have_no_value(registry):
    curves = curves_from("{type: zero_terminal_snr, schedule: scaled_linear}", registry=registry)
    assert curves.log_snr[-1].isnan()
    assert curves.bound_weight[-1].isnan()
    assert curves.beta[-1] == 1
    assert bool(curves.log_snr[:-1].isfinite().all())


@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v", "flow"])
def test_a_loss_weighs_the_error_of_epsilon_alike_whatever_is_predicted(registry, prediction):
    model = {
        "image": {"size": 4, "channels": 1},
        "backbone": "oracle",
        "schedule": "linear",
        "prediction": prediction,
        "objective": {"type": "simple", "weighting": {"type": "min_snr", "gamma": 5.0}},
        "sampling": {"sampler": "ddim", "steps": 5},
    }
    document = config.load(model, registry=registry).document
    assert isinstance(document, config.Document)
    schedule = document.schedule.build()
    process = Process(schedule, document.prediction.build(schedule=schedule), document.variance.build())
    weigh = document.objective.weighting.build()  # type: ignore[attr-defined]
    curves = curves_of(schedule, name="", weigh=weigh, process=process)
    snr = curves.log_snr.exp()
    assert curves.loss_weight is not None
    # Hang et al. 2023, section 3.4: min(SNR, γ) on x₀, whose error is SNR times that of ε
    torch.testing.assert_close(curves.loss_weight, snr.clamp(max=5) / snr, rtol=1e-6, atol=1e-12)
