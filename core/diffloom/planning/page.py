"""A plan as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from diffloom.inspection.page import Section
from diffloom.planning.figures import Plan, SamplingPlan, TrainingPlan
from diffloom.planning.network import Row

THOUSANDS = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


def page(plan: Plan) -> list[Section]:
    """The sections, what one looks for first."""
    sections = [_in_short(plan), _weights(plan)]
    if plan.training is not None:
        sections += [_training(plan.training, plan), _memory(plan.training, plan.device)]
    if plan.sampling is not None:
        sections.append(_sampling(plan.sampling, plan))
    if plan.training is not None:
        sections.append(_disk(plan.training))
    sections.append(_network(plan))
    if plan.unknown:
        section = Section("Not known")
        for text in plan.unknown:
            section.add("!", text)
        sections.append(section)
    return sections


def _in_short(plan: Plan) -> Section:
    section = Section("In short")
    section.add("learns", f"{count(plan.trained).strip()} weights")
    if plan.training is not None:
        work = count(plan.training.flops * plan.training.images)
        section.add(
            "to train",
            f"{size(plan.training.peak_bytes)} of memory, {size(plan.training.disk.peak)} of disk, {work}FLOP",
        )
    if plan.sampling is not None:
        section.add(
            "to sample", f"{size(sum(plan.sampling.memory.values()))} of memory for {_images(plan.sampling)}"
        )
    return section


def _images(sampling: SamplingPlan) -> str:
    return "1 image" if sampling.count == 1 else f"{sampling.count} images at once"


def _weights(plan: Plan) -> Section:
    section = Section("Weights")
    for name, part in plan.parts.items():
        told = [
            f"{number:,} {word}"
            for number, word in ((part.trained, "trained"), (part.frozen, "frozen"))
            if number
        ]
        section.add(name, ", ".join(told))
    return section


def _training(training: TrainingPlan, plan: Plan) -> Section:
    section = Section("Training")
    section.add(
        "run", f"{training.steps:,} steps of {training.batch_size} images = {training.images:,} images"
    )
    if training.examples and training.epochs:
        section.add("epochs", f"{training.epochs:,.3g} of {training.examples:,} examples")
    else:
        section.add("epochs", "unknown: nobody knows before how many examples there are")
    if plan.trained:
        section.add("images", f"{training.images / plan.trained:.3g} for each trained weight")
    passes = f"{training.passes} passes of a step, " if training.passes > 1 else ""
    calls = "1 call" if training.network_calls == 1 else f"{training.network_calls} calls"
    section.add("network", f"{passes}{calls} in a step")
    section.add(
        "work",
        f"{count(training.flops)}FLOP for an image, {count(training.flops * training.images)}FLOP in all",
    )
    _changes(section, training.changes)
    return section


def _changes(section: Section, changes: Mapping[str, str]) -> None:
    for key, text in changes.items():
        section.add(key, text)


def _memory(training: TrainingPlan, device: str) -> Section:
    section = Section(f"Memory of training, on {device}")
    section.add("at most", f"{size(training.peak_bytes)}, and what Python and torch themselves take")
    section.add("in a step", _by_kind(training.memory))
    if training.memory_of_previews:
        section.add("previews", f"{size(training.memory_of_previews)} while samples are drawn")
    ways = {True: "with", False: "without"}
    smaller = training.memory_otherwise < sum(training.memory.values())
    section.add(
        "otherwise", f"{size(training.memory_otherwise)} in a step {ways[smaller]} gradient_checkpointing"
    )
    return section


def _sampling(sampling: SamplingPlan, plan: Plan) -> Section:
    section = Section(f"Sampling, {_images(sampling)}")
    views = f", each of {sampling.views:g} views of an image" if sampling.views != 1 else ""
    if sampling.calls is None:
        section.add("network", f"as many calls as the sampler's tolerance asks for{views}")
    else:
        section.add("network", f"{sampling.calls} calls{views}")
        section.add("work", f"{count(plan.network.flops * sampling.calls * sampling.views)}FLOP for an image")
    section.add("memory", f"{size(sum(sampling.memory.values()))}: {_by_kind(sampling.memory)}")
    if sampling.memory_otherwise:
        otherwise = (f"{size(number)} {said}" for said, number in sampling.memory_otherwise.items())
        section.add("otherwise", ", ".join(otherwise))
    _changes(section, sampling.changes)
    return section


def _disk(training: TrainingPlan) -> Section:
    disk = training.disk
    section = Section("Disk")
    kept = f", of which {disk.checkpoints} stay" if disk.checkpoints > 1 else ""
    section.add("checkpoint", f"{size(disk.checkpoint)}{kept}")
    if disk.snapshots:
        section.add("snapshots", f"{disk.snapshots} of {size(disk.snapshot)}")
    pictures = f", and {disk.pictures} sheets of samples" if disk.pictures else ""
    section.add("run", f"{size(disk.total)} in the end, {size(disk.peak)} at most{pictures}")
    return section


def _network(plan: Plan) -> Section:
    network = plan.network
    section = Section(f"Network: {count(network.flops)}FLOP forward for an image")
    columns = [_cells(row) for row in network.rows]
    rest = network.flops - sum(row.flops for row in network.rows)
    columns.append(
        (
            "the rest",
            "",
            "",
            count(network.weights - sum(row.weights for row in network.rows)),
            f"{count(rest)}FLOP",
        )
    )
    widths = [max(len(cells[index]) for cells in columns) for index in range(5)]
    for place, shape, made_of, weights, flops in columns:
        section.add(
            place,
            f"{shape:<{widths[1]}}  {made_of:<{widths[2]}}  {weights:>{widths[3]}} weights  {flops:>{widths[4]}}",
        )
    return section


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    made_of = ", ".join(f"{number} {name}" if number > 1 else name for name, number in row.blocks.items())
    return row.place, "×".join(map(str, row.shape)), made_of, count(row.weights), f"{count(row.flops)}FLOP"


def _by_kind(memory: Mapping[str, int]) -> str:
    """`52 MB activations, 2.7 MB weights`, the most first."""
    largest = sorted(memory.items(), key=lambda item: -item[1])
    return ", ".join(f"{size(number)} {kind}" for kind, number in largest if number)


def count(number: float) -> str:
    """`1.23 G`, `17 ` and `640 k`: three figures, and SI's letter for the thousands."""
    power = 0
    while number >= 999.5:
        number, power = number / 1000, power + 1
    return f"{number:.3g} {THOUSANDS[power]}"


def size(number: float) -> str:
    """`1.23 GB`, a gigabyte being 10⁹ bytes."""
    return f"{count(number)}B"


def figures(plan: Plan) -> dict[str, Any]:
    """The plan for programs: everything that it says, with what follows from it."""
    told = asdict(plan)
    if plan.training is not None:
        told["training"] |= {
            "images": plan.training.images,
            "epochs": plan.training.epochs,
            "peak_bytes": plan.training.peak_bytes,
        }
        told["training"]["disk"] |= {"total": plan.training.disk.total, "peak": plan.training.disk.peak}
    if plan.sampling is not None:
        told["sampling"]["peak_bytes"] = sum(plan.sampling.memory.values())
    return told
