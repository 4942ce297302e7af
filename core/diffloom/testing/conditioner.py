"""Laws of the kind `conditioner`. Legend: B batch, C channels, H height, W width, D width, L tokens."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.kinds import Conditioner, ConditionInfo, DataInfo, ImageInfo, Setting, SpaceInfo
from diffloom.testing.checks import Check, expect, expect_close, expect_refusal
from diffloom.testing.modules import awake, expect_module, expect_seeded

SETTING = Setting(
    image=ImageInfo(height=16, width=16, channels=3), space=SpaceInfo(channels=3, height=16, width=16)
)
"""The model that a conditioner is examined in: pixels of a small picture."""


class Pixels(nn.Module):
    """The space of the setting, a `Codec`."""

    def encode(self, images_BCHW: Tensor) -> Tensor:
        return images_BCHW

    def decode(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW


DATA = DataInfo(examples=9, classes={"kit": ("0", "1", "2")})
"""What a conditioner learns before it is examined: three classes, called by their ids."""


def builds(component: Conditioner) -> None:
    """It builds a module that encodes, if need be once it has learned from data, and parses two raw conditions."""
    learned = _learned(component)
    expect(type(learned) is type(component), "learn() to give the same component", type(learned).__name__)
    hash(learned)
    expect_module(_built(learned), ("encode", "null"))
    _raws(learned)


def fills_the_slots_it_says(component: Conditioner) -> None:
    """encode() and null() fill the slots of info(), as wide as it says, one row for each raw condition."""
    component = _learned(component)
    info, raws, module = component.info(SETTING), _raws(component), awake(_built(component))
    for count in (1, 2, 5):
        batch = [raws[i % len(raws)] for i in range(count)]
        encoded, null = _encode(module, batch), _null(module, count)
        for what, condition in (("encode()", encoded), ("null()", null)):
            for name, value in condition.filled().items():
                expect(len(value) == count, f"{what} to give {count} rows of {name}", len(value))
            expect(_widths(condition) == _wanted(info), f"{what} to fill {_wanted(info)}", _widths(condition))
            if condition.class_B is not None:
                expect(condition.class_B.dtype == torch.int64, "class_B in int64", condition.class_B.dtype)
                inside = int(condition.class_B.min()) >= 0 and int(condition.class_B.max()) < info.classes
                expect(inside, f"class ids in [0, {info.classes})", condition.class_B.tolist())
        shapes = {name: value.shape for name, value in encoded.filled().items()}
        nulls = {name: value.shape for name, value in null.filled().items()}
        expect(shapes == nulls, f"null() of the shapes {shapes}", nulls)


def tells_conditions_apart(component: Conditioner) -> None:
    """Another raw condition has another encoding, and the null condition is none of them."""
    component = _learned(component)
    module = awake(_built(component))
    raws = _raws(component)
    encoded, null = _encode(module, raws), _null(module, len(raws))
    expect(not _same(encoded, null), "the null condition to differ from every other", "one that is equal")
    if len(raws) > 1:
        turned = encoded.map(lambda value: value.roll(1, 0))
        expect(
            not _same(encoded, turned), "different encodings of different conditions", "one encoding for two"
        )


def rows_are_independent(component: Conditioner) -> None:
    """A row is the same alone as in a batch, and twice."""
    component = _learned(component)
    module = awake(_built(component)).double()
    raws = _raws(component)
    together = _encode(module, raws).filled()
    for row, raw in enumerate(raws):
        for name, value in _encode(module, [raw]).filled().items():
            expect_close(value, together[name][row : row + 1], within=1e-10, what=f"{name} of {raw!r} alone")


def refuses_nonsense(component: Conditioner) -> None:
    """check() gives a normal form that it takes again; what is no condition is a ValueError, never another error."""
    component = _learned(component)
    for raw in _raws(component):
        normal = component.check(raw)
        expect(
            component.check(normal) == normal,
            f"check({normal!r}) to be the same again",
            component.check(normal),
        )
    expect_refusal(lambda: component.check(object()), "check(object())")
    expect_refusal(lambda: component.check(None), "check(None)")
    for text in ("", "\x00", "-1", "99999999", "NaN", "no such thing at all", "1e999"):
        try:
            raw = component.parse(text)
        except ValueError:
            continue
        condition = _encode(_built(component), [component.check(raw)])
        finite = all(bool(value.isfinite().all()) for value in condition.filled().values())
        expect(finite, f"a finite encoding of {text!r}, or a ValueError", "inf or NaN")


def is_told_by_seed(component: Conditioner) -> None:
    """Equal seeds build equal weights."""
    component = _learned(component)
    expect_seeded(lambda: _built(component))


def _built(component: Conditioner) -> nn.Module:
    return component.build(setting=SETTING, codec=Pixels())


def _learned(component: Conditioner) -> Conditioner:
    """Itself where its configuration says all, and otherwise what it becomes beside the data."""
    try:
        component.info(SETTING)
    except ValueError:
        return component.learn("kit", DATA)
    return component


def _raws(component: Conditioner) -> list[Any]:
    """The raw conditions that its `specimen_texts` mean, those that parse() takes, no two alike."""
    raws: list[Any] = []
    for text in component.specimen_texts:
        try:
            raw = component.check(component.parse(text))
        except ValueError:
            continue
        if raw not in raws:
            raws.append(raw)
    enough = (
        1 if component.info(SETTING).classes == 2 else 2
    )  # one class and the null class leave one raw condition
    expect(len(raws) >= enough, f"parse() to take {enough} of specimen_texts, which it may set", len(raws))
    return raws


def _encode(module: nn.Module, raws: list[Any]) -> Condition:
    with torch.no_grad():
        return cast(Condition, module.encode(raws))  # type: ignore[operator]


def _null(module: nn.Module, count: int) -> Condition:
    with torch.no_grad():
        return cast(Condition, module.null(count))  # type: ignore[operator]


def _widths(condition: Condition) -> dict[str, int | None]:
    """Filled slots and how wide each is; class ids have no width."""
    width = {"vector_BD": 1, "tokens_BLD": 2, "concat_BCHW": 1}
    slots = {name: value for name, value in condition.filled().items() if name != "mask_BL"}
    return {name: value.shape[width[name]] if name in width else None for name, value in slots.items()}


def _wanted(info: ConditionInfo) -> dict[str, int | None]:
    wide = {"vector_BD": info.vector, "tokens_BLD": info.tokens, "concat_BCHW": info.concat}
    return {
        **({"class_B": None} if info.classes else {}),
        **{name: width for name, width in wide.items() if width},
    }


def _same(one: Condition, other: Condition) -> bool:
    """Whether some row is equal in all slots."""

    def rows(a: Tensor, b: Tensor) -> Tensor:
        return (a == b).flatten(1).all(1) if a.dim() > 1 else a == b

    theirs = other.filled()
    equal = torch.stack([rows(value, theirs[name]) for name, value in one.filled().items()])
    return bool(equal.all(0).any())


CHECKS: tuple[Check, ...] = (
    builds,
    fills_the_slots_it_says,
    tells_conditions_apart,
    rows_are_independent,
    refuses_nonsense,
    is_told_by_seed,
)
