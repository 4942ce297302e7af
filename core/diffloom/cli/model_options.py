"""Options that come from the model itself: one for each of its conditioners. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from diffloom.kinds import Conditioner


weights_option = click.option(
    "--weights",
    default="ema",
    show_default=True,
    metavar="NAME",
    help="ema, the average; raw, what the last step left; or the name of one of train.further_ema.",
)
"""Which of a model's weights."""


class ConditionType(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """A raw condition, parsed and checked by its conditioner."""

    def __init__(self, key: str, conditioner: Conditioner) -> None:
        self.name = key
        self.conditioner = conditioner

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.conditioner.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class ConditionOption(click.Option):
    """`--label 7`, may be given several times; collected into the command's `conditions` (or `negative`)."""

    def __init__(self, key: str, conditioner: Conditioner, *, flag: str, into: str, help: str) -> None:
        super().__init__(
            [f"--{flag}", f"{into}_{key}"],
            type=ConditionType(key, conditioner),
            multiple=True,
            expose_value=False,
            callback=self._collect,
            help=help,
        )
        self.key = key
        self.into = into

    def _collect(self, ctx: click.Context, _: click.Parameter, value: tuple[Any, ...]) -> None:
        if value:
            ctx.params.setdefault(self.into, {})[self.key] = value


def condition_options(conditioners: Mapping[str, Conditioner]) -> Iterator[ConditionOption]:
    """For each conditioner `--KEY`, and `--negative-KEY` where guidance can lead away from another value."""
    for key, conditioner in conditioners.items():
        summary = (conditioner.__doc__ or "").strip().splitlines()[0]
        yield ConditionOption(
            key, conditioner, flag=key, into="conditions", help=f"{summary} May be given several times."
        )
        yield ConditionOption(
            key,
            conditioner,
            flag=f"negative-{key}",
            into="negative",
            help=f"What guidance leads away from, in place of the null {key}.",
        )


class ModelCommand(click.Command):
    """A command whose first argument is a model, and which gains options for each of the model's conditioners."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params |= {"conditions": {}, "negative": {}}
        own = list(self.params)
        source = self._source(ctx, args)
        if source is not None:
            plugins = tuple(value for flag, value in pairwise(args) if flag in ("-p", "--plugin"))
            self.params = [*own, *condition_options(_conditioners(source, plugins))]
        try:
            return super().parse_args(ctx, args)
        finally:
            self.params = own

    def _source(self, ctx: click.Context, args: list[str]) -> str | None:
        """The model's path: the first word that is neither an option nor an option's value."""
        known = {
            flag: param
            for param in self.get_params(ctx)
            if isinstance(param, click.Option)
            for flag in param.opts
        }
        words = iter(args)
        for word in words:
            if not word.startswith("-"):
                return word if Path(word).exists() or _is_shipped(word) else None
            option = known.get(word)
            if "=" not in word and (option is None or not option.is_flag):
                for _ in range(option.nargs if option else 1):
                    next(words, None)
        return None


def _is_shipped(source: str) -> bool:
    from diffloom.config.files import SHIPPED  # with it comes all that reads configurations

    return source.startswith(SHIPPED)


def _conditioners(source: str, plugins: tuple[str, ...]) -> dict[str, Conditioner]:
    """The conditioners that a run, a checkpoint or a configuration names."""
    from diffloom import config
    from diffloom.inspection.source import described
    from diffloom.plugins import load_registry

    resolved = described(source, registry=load_registry(plugins))
    return dict(config.require_diffusion(resolved.document, place=source).conditioners)
