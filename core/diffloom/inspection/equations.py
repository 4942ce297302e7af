"""What parts compute, in one line each, with their own constants. Others say the first line of their docstring.

F is the network's output, c the condition, x̂₀ and ε̂ what follows from F; t is a time, s the cleaner one that a step
goes to, z fresh noise. α, σ without an index are those of t.
"""

from __future__ import annotations

from diffloom.config.plain import plain
from diffloom.kinds import Component

EQUATIONS: dict[tuple[str, str], str] = {
    (
        "schedule",
        "diffloom/linear",
    ): "β from {beta_start} to {beta_end}, a straight line;  ᾱ = ∏(1 − β), α = √ᾱ, σ = √(1 − ᾱ)",
    (
        "schedule",
        "diffloom/scaled_linear",
    ): "√β from √{beta_start} to √{beta_end}, a straight line;  ᾱ = ∏(1 − β), α = √ᾱ, σ = √(1 − ᾱ)",
    (
        "schedule",
        "diffloom/cosine",
    ): "ᾱ = cos²((u + {s})/(1 + {s})·π/2), u from 0 to 1, β ≤ {beta_cap};  α = √ᾱ, σ = √(1 − ᾱ)",
    ("prediction", "diffloom/epsilon"): "F = ε;  x̂₀ = (x_t − σ·F)/α",
    ("prediction", "diffloom/x0"): "F = x₀;  ε̂ = (x_t − α·F)/σ",
    ("prediction", "diffloom/v"): "F = v = α·ε − σ·x₀;  x̂₀ = (α·x_t − σ·F)/(α² + σ²)",
    ("variance", "diffloom/fixed_small"): "Var(x_s | x_t) = β̃ = σ_s²·(1 − SNR(t)/SNR(s))",
    ("variance", "diffloom/fixed_large"): "Var(x_s | x_t) = β = σ²·(1 − SNR(t)/SNR(s))",
    (
        "variance",
        "diffloom/learned_range",
    ): "Var(x_s | x_t) = exp(v·log β + (1 − v)·log β̃), v from the network",
    ("objective", "diffloom/simple"): "L = E ‖F(x_t, t, c) − target‖², over x₀, t and ε",
    ("sampler", "diffloom/ddpm"): "x_s = μ(x_t, x̂₀) + √Var(x_s | x_t)·z, μ the posterior's mean",
    ("sampler", "diffloom/ddim"): "x_s = α_s·x̂₀ + √(σ_s² − ς²)·ε̂ + ς·z, ς = {eta}·√β̃",
    (
        "guidance",
        "diffloom/classifier_free",
    ): "x̂₀ = u + {scale}·(c − u), c conditional, u under the null condition",
}
"""(kind, canonical name) → the equation; a field of the part stands in braces."""


ABSENT = ("null", "false", "[]")
"""Values that say of a field only that it is not used."""


def equation_of(part: Component) -> str | None:
    """The part's equation with its constants; None where nobody wrote one down."""
    template = EQUATIONS.get((part.kind, part.canonical))
    return None if template is None else template.format_map(_words(part))


def summary_of(part: Component) -> str:
    """What the part says of itself: the first line of its docstring."""
    return (type(part).__doc__ or "").strip().partition("\n")[0]


def constants_of(part: Component) -> str:
    """Its fields and their values as one writes them in YAML, without nested parts and what is null, off or empty."""
    nested = {name for name in type(part).model_fields if isinstance(getattr(part, name), Component)}
    return ", ".join(
        f"{name} {value}"
        for name, value in _words(part).items()
        if name not in nested and value not in ABSENT
    )


def nested_parts(part: Component) -> dict[str, Component]:
    """The parts that stand in its fields, by the field's name."""
    fields = {name: getattr(part, name) for name in type(part).model_fields}
    return {name: value for name, value in fields.items() if isinstance(value, Component)}


def _words(part: Component) -> dict[str, str]:
    return {name: _word(value) for name, value in plain(part).items() if name != "type"}


def _word(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{', '.join(_word(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_word(item)}' for key, item in value.items())}}}"
    return str(value)
