"""Laws of the kind `backbone`. Legend: B batch, C channels, H height, W width, D width, L tokens."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.kinds import Backbone, ConditionInfo, SpaceInfo
from diffloom.process import Epsilon, FixedSmall, LearnedRange, LinearSchedule, Process
from diffloom.testing.checks import BrokenLawError, Check, expect, expect_close
from diffloom.testing.closed_forms import normal
from diffloom.testing.modules import awake, expect_module, expect_seeded, expect_state_tells_all, in_step

SLOTS = {
    "no condition": ConditionInfo(),
    "class_B": ConditionInfo(classes=5),
    "vector_BD": ConditionInfo(vector=6),
    "tokens_BLD": ConditionInfo(tokens=8),
    "concat_BCHW": ConditionInfo(concat=2),
    "every slot": ConditionInfo(classes=5, vector=6, tokens=8, concat=2),
}


def builds(component: Backbone) -> None:
    """It fits some space; what it refuses, a size or a condition, it refuses by ValueError."""
    expect(component.downsampling >= 1, "a downsampling factor of at least 1", component.downsampling)
    for space, _, condition in _accepted(component):
        expect_module(_built(component, space, condition), ("forward",))


def gives_the_space_s_shape(component: Backbone) -> None:
    """C channels come out, 2·C with learn_variance, in x's dtype and on its device, for any batch size."""
    for space, _, condition in _accepted(component):
        for learned in (False, True):
            variant = component.model_copy(update={"learn_variance": learned})
            try:
                module = awake(_built(variant, space, condition))
            except ValueError:
                if not learned:
                    raise
                continue  # a backbone may refuse to learn the variance
            wanted = (space.channels * (2 if learned else 1), space.height, space.width)
            for batch in (1, 3):
                inputs = _inputs(space, condition, batch, dtype=torch.float32)
                before = inputs[0].clone()
                output = _output(module, inputs)
                expect(output.shape[1:] == wanted, f"an output of (B, {wanted})", tuple(output.shape))
                expect(len(output) == batch, f"{batch} rows", len(output))
                expect(output.dtype == torch.float32, "float32, as x is", output.dtype)
                expect(output.device == inputs[0].device, f"x's device {inputs[0].device}", output.device)
                expect(bool(output.isfinite().all()), "finite output", "inf or NaN")
                expect(torch.equal(inputs[0], before), "x to be left as it was", "x changed in place")


def rows_are_independent(component: Backbone) -> None:
    """In float64, which it runs in, a row is the same alone as in a batch."""
    for space, slot, condition in _accepted(component):
        module = awake(_built(component, space, condition)).double()
        x, t, filled = _inputs(space, condition, 3)
        together = _output(module, (x, t, filled))
        expect(together.dtype == torch.float64, "float64, as x is", together.dtype)
        for row in range(3):
            alone = _output(module, (x[row : row + 1], t[row : row + 1], _rows(filled, slice(row, row + 1))))
            expect_close(alone, together[row : row + 1], within=1e-10, what=f"with {slot}, row {row} alone")


def threads_share_it(component: Backbone) -> None:
    """Threads may compute rows with one module at the same time: none finds in it what another left there.

    They go in step, from one part of the module to the next, so that whatever one writes down between two the other
    writes over.
    """
    space, _, condition = next(_accepted(component))
    module = awake(_built(component, space, condition)).double()
    x, t, filled = _inputs(space, condition, 2)
    rows = [(x[row : row + 1], t[row : row + 1], _rows(filled, slice(row, row + 1))) for row in range(2)]
    alone = [_output(module, given) for given in rows]
    with ThreadPoolExecutor(2) as threads, in_step(module, threads=2):
        together = list(threads.map(partial(_output, module), rows))
    for row in range(2):
        expect_close(together[row], alone[row], within=1e-10, what=f"row {row}, computed beside the other")


def reads_all_its_inputs(component: Backbone) -> None:
    """The output depends on x, on t, and on every condition that build() took."""
    for space, _, condition in _accepted(component):
        module = awake(_built(component, space, condition)).double()
        x, t, filled = _inputs(space, condition, 2)
        output = _output(module, (x, t, filled))
        others = {"x": (x.flip(0), t, filled), "t": (x, t + 300, filled)}
        for slot, value in filled.filled().items():
            others[slot] = (x, t, _with_rows_reversed(filled, value))
        for what, inputs in others.items():
            change = (_output(module, inputs) - output).abs().amax(dim=(1, 2, 3)).min().item()
            expect(change > 1e-9, f"the output to depend on {what}", "the same output for another")


def ignores_masked_tokens(component: Backbone) -> None:
    """Where the mask is false, what the token holds does not matter."""
    for space, _, condition in _accepted(component):
        x, t, filled = _inputs(space, condition, 2)
        if filled.tokens_BLD is not None:
            module = awake(_built(component, space, condition)).double()
            mask_BL = torch.tensor([[True, True, False], [True, False, False]])
            other_BLD = torch.where(mask_BL[..., None], filled.tokens_BLD, filled.tokens_BLD + 1)
            output = _output(module, (x, t, replace(filled, mask_BL=mask_BL)))
            again = _output(module, (x, t, replace(filled, mask_BL=mask_BL, tokens_BLD=other_BLD)))
            expect_close(again, output, within=1e-10, what="output with other masked tokens")


def prepares_without_a_trace(component: Backbone) -> None:
    """A prepared condition has the same slots and gives the same output, whatever was prepared before or since, at the
    times that it was prepared for and at others.
    """
    for space, slot, condition in _accepted(component):
        module = awake(_built(component, space, condition)).double()
        prepare = getattr(module, "prepare", None)
        if prepare is None:
            return
        x, t, filled = _inputs(space, condition, 2)
        output = _output(module, (x, t, filled))
        with torch.no_grad():
            prepared = prepare(filled)
            walking = prepare(filled, times=[7.0, t[0].item(), t[1].item()])
            prepare(filled.map(lambda value: value.flip(0)), times=[t[0].item()])
        expect(isinstance(prepared, Condition), "prepare() to give a Condition", type(prepared).__name__)
        same = {
            name: value for name, value in filled.filled().items() if prepared.filled().get(name) is value
        }
        expect(
            same.keys() == filled.filled().keys() == prepared.filled().keys(),
            f"the slots {', '.join(filled.filled())} as they were",
            f"{', '.join(prepared.filled()) or 'none'}, of which {', '.join(same) or 'none'} as they were",
        )
        cases = {
            "a prepared condition": prepared,
            "the bare condition again": filled,
            "one prepared for these times": walking,
        }
        for what, given in cases.items():
            again = _output(module, (x, t, given))
            expect_close(again, output, within=1e-10, what=f"with {slot}, output for {what}")
        for told, when in (("a time it was", t[:1].expand(2)), ("a time it was not", t[:1].expand(2) + 1)):
            bare, again = (_output(module, (x, when, given)) for given in (filled, walking))
            expect_close(again, bare, within=1e-10, what=f"with {slot}, output at {told} prepared for")


def trains_every_weight(component: Backbone) -> None:
    """A gradient reaches every parameter, of every matrix one that is not zero."""
    for space, slot, condition in _accepted(component):
        module = awake(_built(component, space, condition)).double()
        output = module(*_inputs(space, condition, 3))
        (output * normal(output.shape, seed=9)).sum().backward()
        bare = [
            name
            for name, weight in module.named_parameters()
            if weight.requires_grad and (weight.grad is None or (weight.dim() > 1 and not weight.grad.any()))
        ]
        expect(not bare, f"with {slot}, a gradient for every weight", f"none for {', '.join(bare[:5])}")


def evaluates_alike_twice(component: Backbone) -> None:
    """In evaluation mode the output is a function of the inputs: no dropout, no state."""
    space, _, condition = next(_accepted(component))
    module = awake(_built(component, space, condition))
    inputs = _inputs(space, condition, 2, dtype=torch.float32)
    expect(torch.equal(_output(module, inputs), _output(module, inputs)), "equal outputs twice", "others")


def is_told_by_seed_and_weights(component: Backbone) -> None:
    """Equal seeds build equal weights, and the state_dict holds all that the output depends on."""
    space, _, condition = next(_accepted(component))
    inputs = _inputs(space, condition, 1, dtype=torch.float32)
    expect_seeded(lambda: _built(component, space, condition))
    expect_state_tells_all(
        lambda: _built(component, space, condition), lambda module: _output(module, inputs)
    )


def _accepted(component: Backbone) -> Iterator[tuple[SpaceInfo, str, ConditionInfo]]:
    """A square space for each condition it takes, then an oblong one if it takes that."""
    factor = component.downsampling
    sides = [
        side for side in sorted({2 * factor, 8, 16, 32, 64}) if side >= 2 * factor and side % factor == 0
    ]
    taken: tuple[int, str, ConditionInfo] | None = None
    for slot, condition in SLOTS.items():
        for side in [taken[0]] if taken else sides:
            if _takes(component, space := SpaceInfo(channels=3, height=side, width=side), condition):
                taken = taken or (side, slot, condition)
                yield space, slot, condition
                break
    if taken is None:
        raise BrokenLawError(f"expected it to build for a square space of {sides} pixels; it refuses all")
    side, slot, condition = taken
    oblong = SpaceInfo(channels=4, height=side, width=2 * side)
    if _takes(component, oblong, condition):
        yield oblong, slot, condition


def _built(component: Backbone, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
    """The module, bound to a process where it is a formula of one."""
    module = component.build(space=space, condition=condition)
    if (bind := getattr(module, "bind", None)) is not None:
        prediction, variance = Epsilon(), LearnedRange() if component.learn_variance else FixedSmall()
        bind(Process(schedule=LinearSchedule().build(), prediction=prediction, variance=variance))
    return module


def _takes(component: Backbone, space: SpaceInfo, condition: ConditionInfo) -> bool:
    try:
        with torch.device("meta"):  # whether it fits, without the work of initialising
            component.build(space=space, condition=condition)
    except ValueError:
        return False
    return True


def _inputs(
    space: SpaceInfo, condition: ConditionInfo, batch: int, *, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Condition]:
    """Keyed x_BCHW, t_B in float32 whatever x is, and a condition that fills the slots."""

    def draw(*shape: int) -> Tensor:
        return normal((batch, *shape), seed=sum(shape), dtype=dtype)

    filled = Condition(
        class_B=torch.arange(batch) % condition.classes if condition.classes else None,
        vector_BD=draw(condition.vector) if condition.vector else None,
        tokens_BLD=draw(3, condition.tokens) if condition.tokens else None,
        concat_BCHW=draw(condition.concat, space.height, space.width) if condition.concat else None,
    )
    t_B = torch.tensor([3.0, 250.5, 600.0])[:batch]
    return draw(*space.shape), t_B, filled


def _rows(condition: Condition, rows: slice) -> Condition:
    return condition.map(lambda value: value[rows])


def _with_rows_reversed(condition: Condition, slot: Tensor) -> Condition:
    """In this slot, and in no other."""
    return condition.map(lambda value: value.flip(0) if value is slot else value)


def _output(module: nn.Module, inputs: tuple[Tensor, Tensor, Condition]) -> Tensor:
    with torch.no_grad():
        output = module(*inputs)
    assert isinstance(output, Tensor)
    return output


CHECKS: tuple[Check, ...] = (
    builds,
    gives_the_space_s_shape,
    rows_are_independent,
    threads_share_it,
    reads_all_its_inputs,
    ignores_masked_tokens,
    prepares_without_a_trace,
    trains_every_weight,
    evaluates_alike_twice,
    is_told_by_seed_and_weights,
)
