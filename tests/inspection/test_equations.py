"""The equations that a page shows are what the parts compute. Oracle: the parts, evaluated beside their equations."""

import re

import pytest
import torch

from diffloom.inspection.equations import constants_of, equation_of, nested_parts, summary_of
from diffloom.kinds import Prediction, Schedule
from diffloom.plugins import load_registry
from diffloom.process import Level, Posterior
from diffloom.registry import Registry

SYMBOLS = {
    "·": "*",
    "−": "-",
    "²": "**2",
    "√": "sqrt",
    "α_s": "alpha_s",
    "σ_s": "sigma_s",
    "α": "alpha",
    "σ": "sigma",
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def value(formula: str, **symbols: object) -> object:
    """What a formula of the page comes to."""
    for symbol, word in SYMBOLS.items():
        formula = formula.replace(symbol, word)
    return eval(formula, {"__builtins__": {}}, symbols)


def test_equations_are_told_with_their_constants(registry, tmp_path):
    told = 0
    for component in registry.components.values():
        for part in component.specimens(tmp_path) if component.equation else ():
            equation = equation_of(part)
            assert equation is not None
            assert not re.search(r"[{}]", equation), component
            told += 1
    assert told > 60


def test_a_derived_part_does_not_say_what_its_base_computes(registry):
    class Bent(registry.find("schedule", "linear")):
        """A line, bent."""

    assert equation_of(Bent()) is None


@pytest.mark.parametrize("name", ["epsilon", "x0", "v", "flow", "score"])
def test_predictions(name, registry):
    prediction: Prediction = registry.find("prediction", name)()  # type: ignore[assignment]
    equation = equation_of(prediction)
    assert equation is not None
    says, _, follows = equation.partition(";  ")
    wanted, _, formula = follows.partition(" = ")
    x0, eps = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alpha, sigma = 0.6, 1.7
    x_t = alpha * x0 + sigma * eps
    schedule: Schedule = registry.find("schedule", "linear")()  # type: ignore[assignment]
    output = prediction.build(schedule=schedule.build()).target(x0, eps, alpha, sigma)
    found = value(formula, F=output, x_t=x_t, alpha=alpha, sigma=sigma)
    torch.testing.assert_close(found, {"x̂₀": x0, "ε̂": eps}[wanted], rtol=1e-12, atol=1e-12)
    if name not in ("score",):  # whose definition is a gradient
        defined = says.removeprefix("F = ").replace("x₀", "x0").replace("ε", "eps")
        torch.testing.assert_close(value(defined, x0=x0, eps=eps, alpha=alpha, sigma=sigma), output)


@pytest.mark.parametrize(("name", "attribute"), [("fixed_small", "variance"), ("fixed_large", "beta")])
def test_variances(name, attribute, registry):
    equation = equation_of(registry.find("variance", name)())
    assert equation is not None
    noisier, cleaner = Level(1.0, 0.6, 0.8), Level(0.0, 0.8, 0.6)
    formula = equation.rpartition(" = ")[2].replace("SNR(t)/SNR(s)", "lost")
    lost = (0.6 / 0.8) ** 2 / (0.8 / 0.6) ** 2
    found = value(formula, sigma=0.8, sigma_s=0.6, lost=lost)
    assert found == pytest.approx(getattr(Posterior.between(noisier, cleaner), attribute), rel=1e-12)


def test_a_part_without_an_equation_says_its_docstring():
    class Moonlight(Prediction):
        """What shines by night.

        And more.
        """

        name = "moonlight"
        canonical = "acme/moonlight"
        phase: float = 0.25
        full: bool = False
        seen_by: str | None = None

        def build(self, *, schedule):
            raise AssertionError("never built")

    part = Moonlight()
    assert equation_of(part) is None
    assert summary_of(part) == "What shines by night."
    assert constants_of(part) == "phase 0.25"  # what is off or null is not said


def test_parts_within_parts_are_found_and_not_said_twice(registry):
    objective = registry.find("objective", "simple")()
    assert {"weighting", "timing", "pairing"} <= nested_parts(objective).keys()
    assert "weighting" not in constants_of(objective)
