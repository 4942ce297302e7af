"""What a network does that no tensor shows: heads, epsilons, paddings, functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from diffloom.bridge.contract import AmbiguousError, Bridge, Foreign, Inferred
from diffloom.bridge.empty import empty_weights
from diffloom.bridge.networks import Network
from diffloom.bridge.pieces import AnswersOf
from diffloom.errors import CheckpointError
from diffloom.kinds import Section

PLAIN = (bool, int, float, str, tuple)
"""What a module's habits are written as; its other attributes are modules, tensors or tools."""
OF_TRAINING = frozenset({"training", "p", "dropout"})
"""How a network is trained, which its weights need not repeat."""
LISTED = 4
"""How many differences a message lists before it only counts."""


def require_same_habits(
    part: object, module: nn.Module, network: Network, bridge: Bridge, assume: Mapping[str, str]
) -> None:
    """Raises CheckpointError where the source is known to compute otherwise with the same weights than `module`.

    `part` built the module. A source that does not say how it computes leaves that to the module. Raises it also where
    the source's configuration describes a network that cannot be built here.
    """
    opened = network.opened
    foreign = Foreign(opened.tensors, opened.config, AnswersOf(network.name, assume))
    try:
        inferred = bridge.infer(foreign)
    except AmbiguousError:
        return
    except CheckpointError:
        if (
            opened.config is None
        ):  # names that need a configuration beside them, and fit the module without it
            return
        raise
    if inferred is None:
        return
    with empty_weights():
        theirs = _as_read(inferred, part).build()
    found = list(differences(module, theirs))
    if found:
        more = f"\n  and {len(found) - LISTED} more" if len(found) > LISTED else ""
        listed = "\n".join(f"  {line}" for line in found[:LISTED])
        raise CheckpointError(
            f"{opened.tensors.place}: these {bridge.format} weights are of a network that computes otherwise than the "
            f"configuration's; nothing was loaded. Write in the configuration what it does there:\n{listed}{more}"
        )


def differences(ours: nn.Module, theirs: nn.Module) -> Iterator[str]:
    """Where two networks differ that hold the same tensors, one line each: place, and both values.

    Parts whose tensors differ are passed over, since these are compared when they are read.
    """
    others = dict(theirs.named_modules())
    for name, module in ours.named_modules():
        other = others.get(name)
        if other is None or _shapes(module) != _shapes(other):
            continue
        place = name or "the whole"
        if type(module) is not type(other):
            yield f"{place}: {type(module).__name__} here, {type(other).__name__} there"
            continue
        mine, their = _habits(module), _habits(other)
        for habit in mine:
            if habit in their and mine[habit] != their[habit]:
                yield f"{place}: {habit} {mine[habit]} here, {their[habit]} there"


def _as_read(inferred: Inferred, part: object) -> Inferred:
    """What is inferred, read as our part reads it: a bridge sets the fields that it knows, the others are ours."""
    theirs = inferred.part
    if not isinstance(part, Section) or type(theirs) is not type(part):
        return inferred
    fields = type(part).model_fields.keys() - theirs.model_fields_set
    return Inferred(
        theirs.model_copy(update={field: getattr(part, field) for field in fields}), inferred.shapes
    )


def _habits(module: nn.Module) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in OF_TRAINING and isinstance(value, PLAIN)
    }


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
