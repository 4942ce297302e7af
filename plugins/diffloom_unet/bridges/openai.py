"""The U-Nets of guided-diffusion, improved-diffusion and unconditional latent-diffusion ↔ component `unet`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from torch import nn

from diffloom.bridge import AmbiguousError, Entry, Foreign, Inferred
from diffloom.errors import CheckpointError
from diffloom.kinds import ConditionInfo
from diffloom_unet.bridges import openai_names
from diffloom_unet.bridges.inference import answer, inferred, listed, size_choices
from diffloom_unet.bridges.layout import Layout, read_layout
from diffloom_unet.bridges.openai_habits import (
    HEADS,
    fields_of,
    head_choices,
    heads_of,
    require_habits,
    source,
)
from diffloom_unet.bridges.published import Published, published
from diffloom_unet.component import UNet

ORDERS: dict[str, str] = {
    "legacy": "queries, keys and values of each head together",
    "new": "all queries, then all keys, then all values",
}


class OpenAIUNet:
    """Names and shapes; heads, their order and the picture's size are published, or asked.

    The rows of attention's projection are ordered head by head, unless there is one head only: "legacy".
    """

    format: ClassVar[str] = "openai"
    order: ClassVar[str] = "legacy"

    def infer(self, foreign: Foreign) -> Inferred | None:
        layout = read_layout(foreign.tensors)
        if layout is None or layout.tokens:
            return None
        known = published(layout)
        heads, order, size = heads_of(foreign, known), _order(foreign, known), answer(foreign, "image_size")
        size = size or (known.side if known else None)
        one = heads.get("heads") == 1
        open_questions = _open_questions(layout, heads=bool(heads), order=bool(order) or one, size=bool(size))
        if open_questions or size is None:
            raise AmbiguousError(
                foreign.tensors.place,
                f"neither names nor shapes say {' and '.join(open_questions)}",
                {word: meaning for choices in open_questions.values() for word, meaning in choices.items()},
            )
        if self.order != ("legacy" if one else order):
            return None
        resolutions = tuple(size >> level for level in layout.attending)
        words = " and ".join(f"{name} {value}" for name, value in heads.items())
        told = [layout.described(), f"{words}: {source(foreign, known, *HEADS)}"]
        if not one:
            told.append(
                f"{self.order} order, {ORDERS[self.order]}: {source(foreign, known, 'attention_order')}"
            )
        told.append(
            f"pixels attend at {listed(resolutions)} of {size}: {source(foreign, known, 'image_size')}"
        )
        return inferred(
            UNet,
            foreign,
            {**fields_of(layout), **heads, "attention_resolutions": resolutions},
            channels_in=layout.channels_in,
            channels_out=layout.channels_out,
            # pictures of three channels: the other three that go in are a smaller one's, and that come out variances
            space_channels=3 if layout.channels_out == 6 else None,
            size=(size, size),
            condition=ConditionInfo(classes=layout.classes, vector=layout.vector),
            told=told,
        )

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        return openai_names.naming(legacy=self.order == "legacy").entries(module)

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        return ()

    def config(self, inferred: Inferred) -> None:
        """None: theirs is in the flags of a command."""
        require_habits(inferred, "guided-diffusion")


class OpenAIUNetNewOrder(OpenAIUNet):
    """The same with all queries first, then all keys, then all values: `--use_new_attention_order`."""

    format = "openai_new_order"
    order = "new"


def _order(foreign: Foreign, known: Published | None) -> str | None:
    """The user's answer to how attention's projection is ordered, or else the published."""
    said = foreign.assume.get("attention_order")
    if said is not None and said not in ORDERS:
        words = " or ".join(ORDERS)
        raise CheckpointError(f"{foreign.tensors.place}: --assume attention_order={said}: it is {words}")
    return said or (known.order if known else None)


def _open_questions(layout: Layout, *, heads: bool, order: bool, size: bool) -> dict[str, dict[str, str]]:
    """What is still not known, each question with its choices; true is what is known."""
    orders = {f"attention_order={name}": meaning for name, meaning in ORDERS.items()}
    questions = (
        (heads, "how many heads attention has", head_choices(layout)),
        (order, "how its projection is ordered", orders),
        (size, "how large pictures are", size_choices(len(layout.channels), layout.attending)),
    )
    return {question: choices for known, question, choices in questions if not known}
