"""What a diffusion model is, in a page."""

from __future__ import annotations

from collections.abc import Iterator

from diffloom.building import built
from diffloom.config import Document
from diffloom.inspection.equations import constants_of, equation_of, nested_parts, summary_of
from diffloom.inspection.learning import learned, training
from diffloom.inspection.page import Section
from diffloom.kinds import Component, NoiseSchedule, Weighting
from diffloom.process import Level
from diffloom.registry import Registry


def diffusion_page(document: Document, *, registry: Registry) -> list[Section]:
    """The sections, in the order in which a picture meets the parts. Builds networks without their weights."""
    schedule = built("schedule", document.schedule.build, space=document.space_info)
    return [
        _diffused(document),
        _conditions(document),
        _forward(document, schedule),
        _network(document),
        _loss(document),
        _sampling(document, schedule),
        _constant(document),
        learned(document, registry=registry),
    ]


def add_part(section: Section, label: str, part: Component) -> None:
    """A part's rows: its name with what it says of itself, its equation, its constants, then the parts inside it."""
    section.add(label, f"{part.canonical}: {summary_of(part)}", equation_of(part) or "", constants_of(part))
    for name, inner in nested_parts(part).items():
        add_part(section, name, inner)


def _diffused(document: Document) -> Section:
    section = Section("What is diffused")
    image, space = document.image.info, document.space_info
    section.add("picture", f"{image.height}×{image.width}×{image.channels}, values from −1 to 1")
    add_part(section, "space", document.space)
    count = space.channels * space.height * space.width
    ratio = image.height * image.width * image.channels / count
    section.add(
        "x₀",
        f"{space.height}×{space.width}×{space.channels} = {count:,} numbers"
        + (f", {ratio:.3g} times fewer than the picture has" if ratio > 1 else ""),
    )
    return section


def _conditions(document: Document) -> Section:
    section = Section("Conditions c")
    for name, conditioner in document.conditioners.items():
        add_part(section, name, conditioner)
        missing = f"missing in {conditioner.dropout:.0%} of training: the model knows the null condition too"
        section.add(
            "", missing if conditioner.dropout else "never missing in training: it must always be given"
        )
    if not document.conditioners:
        section.add("none", "nothing can be asked of this model but a sample")
    return section


def _forward(document: Document, schedule: NoiseSchedule) -> Section:
    section = Section("Forward process: data become noise")
    axis = schedule.axis
    section.add("x_t", "α·x₀ + σ·ε, ε standard normal")
    add_part(section, "schedule", document.schedule)
    times = f"{axis.count} times" if axis.count else "all times"
    section.add("times", f"{times} from {axis.first:g} to {axis.last:g}")
    for label, level in zip(("first", "last"), schedule.levels([axis.first, axis.last]), strict=False):
        section.add(
            label, f"t = {level.t:g}: x = {level.alpha:.6g}·x₀ + {level.sigma:.6g}·ε  {_signal(level)}"
        )
    return section


def _signal(level: Level) -> str:
    return f"(log-SNR {level.log_snr:.4g})" if level.alpha > 0 else "(no signal is left)"


def _network(document: Document) -> Section:
    section = Section("Network: F(x_t, t, c)")
    backbone, channels = document.backbone, document.space_info.channels
    add_part(section, "backbone", backbone)
    add_part(section, "prediction", document.prediction)
    taken = channels * 2 if backbone.self_conditioning else channels
    given = channels * 2 if backbone.learn_variance else channels
    extra_in = ", the last x̂₀ among them" if backbone.self_conditioning else ""
    extra_out = ", the variance among them" if backbone.learn_variance else ""
    section.add("channels", f"{taken} in{extra_in}; {given} out{extra_out}")
    return section


def _loss(document: Document) -> Section:
    section = Section("Training")
    add_part(section, "objective", document.objective)
    if not any(isinstance(part, Weighting) for part in nested_parts(document.objective).values()):
        section.add("weights", "those of the objective itself")
    training(section, document.train)
    return section


def _sampling(document: Document, schedule: NoiseSchedule) -> Section:
    sampling = document.sampling
    section = Section("Reverse process: noise becomes a sample")
    levels = sampling.spacing.levels(schedule, steps=sampling.steps)
    start = schedule.prior_std(levels[0])
    section.add("begins", f"x = {start:.6g}·z at {_at(levels[0])}")
    add_part(section, "spacing", sampling.spacing)
    section.add("visits", _visited(levels))
    add_part(section, "sampler", sampling.sampler)
    add_part(section, "variance", document.variance)
    section.add("at each call", *_mended(document))
    section.add(
        "ends", "at the clean sample" if sampling.end == "clean" else f"at time {schedule.axis.first:g}"
    )
    section.add("calls", _calls(document))
    return section


def _at(level: Level) -> str:
    return f"t = {level.t:g} (σ/α = {level.ratio:.4g})"


def _visited(levels: tuple[Level, ...]) -> str:
    shown = [_at(level) for level in (levels if len(levels) <= 4 else levels[:2])]
    return ", ".join(shown if len(levels) <= 4 else [*shown, "…", _at(levels[-1])])


def _mended(document: Document) -> Iterator[str]:
    """What becomes of the predicted x₀, in its order."""
    sampling, guidance = document.sampling, document.sampling.guidance
    steps = ["F under the condition → x̂₀"]
    if guidance is not None and not guidance.neutral:
        steps.append(f"guidance {_in_brief(guidance)}")
    steps += [f"correction {_in_brief(correction)}" for correction in sampling.corrections]
    if sampling.clip is not None:
        steps.append(f"clip x̂₀ to [−{sampling.clip:g}, {sampling.clip:g}]")
    steps.append("ε̂ = (x_t − α·x̂₀)/σ, so that both belong together")
    return (f"{number}. {step}" for number, step in enumerate(steps, 1))


def _in_brief(part: Component) -> str:
    """A part on one line."""
    constants = constants_of(part)
    return f"{part.canonical}: {equation_of(part) or summary_of(part)}" + (
        f" ({constants})" if constants else ""
    )


def _calls(document: Document) -> str:
    sampling = document.sampling
    calls = sampling.sampler.calls(sampling.steps)
    many = "as many network calls as its tolerance asks for" if calls is None else f"{calls} network calls"
    words = f"{many} for a batch of samples ({sampling.steps} steps)"
    if sampling.guidance is None or sampling.guidance.neutral or not sampling.guidance.compares:
        return words
    return f"{words}; where guidance acts, each sees a sample under its condition and under what it is compared with"


def _constant(document: Document) -> Section:
    section = Section("Constant during a walk: computed once before it")
    section.add("levels", "times, α and σ of all steps, and the sampler's coefficients, in float64")
    if document.conditioners:
        section.add(
            "conditions",
            f"{', '.join(document.conditioners)}: encoded once, and what the network makes of them",
        )
    return section
