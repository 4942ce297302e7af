"""The `diffloom` command. Commands are imported when they are called, so that help answers at once."""

from __future__ import annotations

import importlib
import sys

import click

from diffloom.errors import DiffloomError

COMMANDS = {
    "plan": ("diffloom.cli.plan:plan", "Say what a training will take, before it."),
    "train": ("diffloom.cli.train:train", "Train a model from a YAML file."),
    "verify-resume": (
        "diffloom.cli.verify_resume:verify_resume",
        "Try out whether a run can be killed and resumed.",
    ),
    "sample": ("diffloom.cli.sample:sample", "Draw samples from a trained model."),
    "data": ("diffloom.cli.data:data", "Look at data before training on them."),
    "calibrate": ("diffloom.cli.calibrate:calibrate", "Measure a latent model's latents."),
    "cache": ("diffloom.cli.cache:cache", "Encode a latent model's data once, to train from."),
    "ema": ("diffloom.cli.ema:ema", "Make averages of a run's weights afterwards."),
    "convert": ("diffloom.cli.convert:convert", "Write another program's model as a checkpoint."),
    "export": ("diffloom.cli.export:export", "Write a model in another program's form."),
    "samplers": ("diffloom.cli.samplers:samplers", "Compare the samplers on a model."),
    "schedule": ("diffloom.cli.schedule:schedule", "Draw noise schedules, or print them."),
    "report": ("diffloom.cli.report:report", "Write a run as a page to read in a browser."),
    "explain": ("diffloom.cli.explain:explain", "Say in a page what a model is."),
    "config": ("diffloom.cli.config:config", "Check a configuration, or show it resolved."),
    "plugins": ("diffloom.cli.plugins:plugins", "List, show, make and check plugins."),
    "schema": ("diffloom.cli.schema:schema", "Print the JSON Schema that editors use."),
}
"""Command → where it is, and its line in the help."""


class LazyGroup(click.Group):
    """A group whose help lists its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="diffloom", message="diffloom %(version)s")
@click.pass_context
def diffloom(context: click.Context) -> None:
    """Diffusion models woven from plugins: train and sample what a YAML file names."""
    from diffloom.cli.telling import told_logs

    context.with_resource(told_logs())


def main() -> None:
    """Run the command line. A user's mistake is printed without a traceback, exit code 2."""
    try:
        diffloom.main(prog_name="diffloom")
    except DiffloomError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
