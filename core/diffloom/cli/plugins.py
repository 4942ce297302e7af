"""`diffloom plugins`: list, show, make and check plugins. `list` and `show` do not import torch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

plugin_files = click.option(
    "-p", "--plugin", "files", multiple=True, help="A Python file to load as a plugin."
)


@click.group()
def plugins() -> None:
    """List, show, make and check plugins."""


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
@plugin_files
def list_(as_json: bool, files: tuple[str, ...]) -> None:
    """List every component by kind, then the plugins that are set aside, and why."""
    from diffloom.cli.plugin_pages import inventory, plain_listing, print_tables
    from diffloom.plugins import load_registry

    registry = load_registry(files)
    if as_json:
        click.echo(json.dumps(inventory(registry), indent=2))
    elif sys.stdout.isatty():
        print_tables(registry)
    else:
        for line in plain_listing(registry):
            click.echo(line)


@plugins.command()
@click.argument("name", metavar="KIND/NAME")
@plugin_files
def show(name: str, files: tuple[str, ...]) -> None:
    """Show a component's fields: types, defaults, documentation.

    NAME is bare for diffloom's own, as in sampler/ddim, and full for others: sampler/acme-moon/heun.
    """
    from diffloom.cli.plugin_pages import description
    from diffloom.errors import PluginError
    from diffloom.kinds import KINDS
    from diffloom.plugins import load_registry
    from diffloom.registry import did_you_mean

    kind, _, component = name.partition("/")
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or f"; the kinds are {', '.join(KINDS)}"
        raise PluginError(f"{kind!r} is not a kind{hint}")
    if not component:
        raise PluginError(f"which {kind}? Write {kind}/NAME; `diffloom plugins list` shows the names")
    registry = load_registry(files)
    for line in description(registry.find(kind, component), registry):
        click.echo(line)


@plugins.command()
@click.argument("name")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The folder to write.  [default: ./NAME]"
)
def new(name: str, output: Path | None) -> None:
    """Write a small working plugin package: a sampler, a backbone and their test."""
    from diffloom.scaffold import write_package

    folder = output or Path(name)
    for path in write_package(name, folder):
        click.echo(path)
    click.echo(f"\nNext: pip install -e '{folder}[test]' && diffloom plugins check {name}")


@plugins.command()
@click.argument("distribution")
@plugin_files
def check(distribution: str, files: tuple[str, ...]) -> None:
    """Examine every component of DISTRIBUTION by the laws of its kind; exit code 1 if one is broken.

    A file given with -p is a distribution too: my_plugin.py is called my-plugin.
    """
    from diffloom.testing import NonConformityError, conformance

    try:
        report = conformance(distribution, files=files)
    except NonConformityError as error:
        click.echo(str(error))
        sys.exit(1)
    for label in report.components:
        click.echo(f"  ok  {label}")
    click.echo(str(report))
