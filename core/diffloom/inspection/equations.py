"""What parts compute, in one line each, with their own constants. Others say the first line of their docstring.

F is the network's output, c the condition, x̂₀ and ε̂ what follows from F; t is a time, s the cleaner one that a step
goes to, z fresh noise. α, σ without an index are those of t.
"""

from __future__ import annotations

from diffloom.config.plain import plain
from diffloom.kinds import Component

PRESERVING = "α = √ᾱ, σ = √(1 − ᾱ)"
CHAIN = f"ᾱ = ∏(1 − β);  {PRESERVING}"
MULTISTEP = "x_s = α_s·x̂₀ + σ_s·ε̂ + Σ w_j·(past_j − now), w integrating a polynomial through "
ANCESTRAL = ", landing cleaner by ς;  x_s += {s_noise}·ς·z, ς = {eta}·√β̃"
EXPONENTIAL = "x_s = α_s·x̂₀ + σ_s·ε̂ + a multiple of how "
EQUATIONS: dict[str, dict[str, str]] = {
    "schedule": {
        "diffloom/linear": f"β from {{beta_start}} to {{beta_end}} in a straight line;  {CHAIN}",
        "diffloom/scaled_linear": f"√β from √{{beta_start}} to √{{beta_end}} in a straight line;  {CHAIN}",
        "diffloom/sqrt": f"β² from {{beta_start}}² to {{beta_end}}² in a straight line;  {CHAIN}",
        "diffloom/constant": f"β = {{beta}};  {CHAIN}",
        "diffloom/cosine": f"ᾱ ∝ cos²((u + {{s}})/(1 + {{s}})·π/2), u from 0 to 1, β ≤ {{beta_cap}};  {PRESERVING}",
        "diffloom/exponential": f"ᾱ = exp(−{{rate}}·u), u from 0 to 1, β ≤ {{beta_cap}};  {PRESERVING}",
        "diffloom/vp": f"−log ᾱ = ½·{{beta_d}}·t² + {{beta_min}}·t;  {PRESERVING}",
        "diffloom/ve": "α = 1, σ = eᵗ from {sigma_min} to {sigma_max}",
        "diffloom/edm": "α = 1, σ = e⁴ᵗ from {sigma_min} to {sigma_max}",
        "diffloom/flow": "α = 1 − t, σ = t, times shifted by {shift}",
    },
    "prediction": {
        "diffloom/epsilon": "F = ε;  x̂₀ = (x_t − σ·F)/α",
        "diffloom/x0": "F = x₀;  ε̂ = (x_t − α·F)/σ",
        "diffloom/v": "F = α·ε − σ·x₀;  x̂₀ = (α·x_t − σ·F)/(α² + σ²)",
        "diffloom/flow": "F = ε − x₀;  x̂₀ = (x_t − σ·F)/(α + σ)",
        "diffloom/score": "F = ∇ log p(x_t);  x̂₀ = (x_t + σ²·F)/α",
        "diffloom/posterior_mean": "F = μ(x_t, x₀), the mean of the step to the time before, solved for x̂₀",
        "diffloom/edm": "x̂₀ = α·{sigma_data}²/P·x_t + σ·{sigma_data}/√P·F(x_t/√P, t, c), P = α²·{sigma_data}² + σ²",
    },
    "variance": {
        "diffloom/fixed_small": "Var(x_s | x_t) = β̃ = σ_s²·(1 − SNR(t)/SNR(s))",
        "diffloom/fixed_large": "Var(x_s | x_t) = β = σ²·(1 − SNR(t)/SNR(s))",
        "diffloom/learned_range": "Var(x_s | x_t) = exp(v·log β + (1 − v)·log β̃), v from the network",
        "diffloom/learned": "Var(x_s | x_t) = exp(v), v from the network",
    },
    "objective": {
        "diffloom/simple": "L = E w(t)·‖F(x_t, t, c) − target‖² over x₀, t and ε",
        "diffloom/lp": "L = E w(t)·Σ |F(x_t, t, c) − target|^{p} over x₀, t and ε",
        "diffloom/huber": "L = E w(t)·Σ 2δ·(√(d² + δ²) − δ), d = F(x_t, t, c) − target, δ = {delta}",
        "diffloom/hybrid": "L = E w(t)·‖F(x_t, t, c) − target‖² + {bound_weight}·L_vlb, for the variance alone",
        "diffloom/variational_bound": "L = L_T + Σ D(q(x_s | x_t, x₀) ‖ p(x_s | x_t)) − E log p(x₀ | x₁)",
    },
    "sampler": {
        "diffloom/ddpm": "x_s = μ(x_t, x̂₀) + √Var(x_s | x_t)·z, μ the posterior's mean",
        "diffloom/ddim": "x_s = α_s·x̂₀ + √(σ_s² − ς²)·ε̂ + ς·z, ς = {eta}·√β̃",
        "diffloom/euler": "x_s = α_s·x̂₀ + σ_s·ε̂",
        "diffloom/euler_ancestral": "x_s = α_s·x̂₀ + σ_s·ε̂" + ANCESTRAL,
        "diffloom/heun": "x_s = α_s·(y + (r_s − r)·½(ε̂ + ε̂_s)), y = x_t/α, r = σ/α",
        "diffloom/dpm2": "x_s = α_s·(y + (r_s − r)·ε̂ halfway in log r), y = x_t/α, r = σ/α",
        "diffloom/dpm2_ancestral": "x_s = α_s·(y + (r_s − r)·ε̂ halfway in log r)" + ANCESTRAL,
        "diffloom/dpm_solver_2s": EXPONENTIAL + "ε̂ changes up to {r1} of the step in log(α/σ)",
        "diffloom/dpm_solver_3s": EXPONENTIAL + "ε̂ changes up to {r1} and {r2} of the step in log(α/σ)",
        "diffloom/dpmpp_2s": EXPONENTIAL + "x̂₀ changes up to {r1} of the step in log(α/σ)",
        "diffloom/dpmpp_2m": MULTISTEP + "the last 2 x̂₀ over log(α/σ)",
        "diffloom/dpmpp_3m": MULTISTEP + "the last 3 x̂₀ over log(α/σ)",
        "diffloom/lms": MULTISTEP + "the last {solver_order} ε̂ over σ/α",
        "diffloom/ipndm": MULTISTEP + "the last {solver_order} ε̂, as if steps were equal",
        "diffloom/plms": MULTISTEP + "the last 4 ε̂, as if steps were equal",
        "diffloom/deis": MULTISTEP + "the last {solver_order} ε̂ over {variable}",
        "diffloom/ode": "dy/dθ = cos θ·ε̂ − sin θ·x̂₀, θ = atan(σ/α), y = x_t/√(α² + σ²), "
        "solved by {method} to rtol {rtol} and atol {atol}",
        "diffloom/lcm": "x_s = α_s·x̂₀ + σ_s·z",
    },
    "guidance": {
        "diffloom/classifier_free": "x̂₀ = u + {scale}·(x̂₀ − u), u under the null condition",
        "diffloom/autoguidance": "x̂₀ = w + {scale}·(x̂₀ − w), w by the weaker model",
        "diffloom/classifier": "ε̂ is lower by σ·({scale} − 1)·∇ log p(label | x_t)",
        "diffloom/perturbed_attention": "x̂₀ = b + {scale}·(x̂₀ − b), b with blind self-attention",
    },
}
"""Kind → canonical name → the equation; a field of the part stands in braces."""


ABSENT = ("null", "false", "[]")
"""Values that say of a field only that it is not used."""


def equation_of(part: Component) -> str | None:
    """The part's equation with its constants; None where nobody wrote one down."""
    template = EQUATIONS.get(part.kind, {}).get(part.canonical)
    return None if template is None else template.format_map(_words(part))


def summary_of(part: Component) -> str:
    """What the part says of itself: the first line of its docstring."""
    return (type(part).__doc__ or "").strip().partition("\n")[0]


def constants_of(part: Component) -> str:
    """Its fields and their values as one writes them in YAML, without nested parts and what is null, off or empty."""
    nested = {name.partition("[")[0] for name in nested_parts(part)}
    return ", ".join(
        f"{name} {value}"
        for name, value in _words(part).items()
        if name not in nested and value not in ABSENT
    )


def nested_parts(part: Component) -> dict[str, Component]:
    """The parts that stand in its fields, by the field's name: `weighting`, `parts[0]`."""
    found = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, Component):
            found[name] = value
        elif isinstance(value, tuple):
            found |= {f"{name}[{i}]": item for i, item in enumerate(value) if isinstance(item, Component)}
    return found


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
