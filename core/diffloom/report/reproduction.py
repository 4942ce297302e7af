"""How to have a run again: what to install, what to call, and the digests that say whether it is the same."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from diffloom.report.account import Account
from diffloom.training.run_folder import RESOLVED

LOCAL = "sha256:"
"""What the version of a plugin begins with that is a file."""


@dataclass(frozen=True)
class Step:
    """One thing to do."""

    text: str
    command: str


def steps(run: Account) -> Iterator[Step]:
    """What to do, in order."""
    versions = run.sessions[-1]["versions"] if run.sessions else {}
    plugins: dict[str, str] = run.config["plugins"]
    wanted = {name: versions[name].partition("+")[0] for name in ("diffloom", "torch") if name in versions}
    wanted |= {name: version for name, version in plugins.items() if not version.startswith(LOCAL)}
    packages = shlex.join(f"{name}=={version}" for name, version in sorted(wanted.items()))
    if packages:
        yield Step("Install what it ran with", f"pip install {packages}")
    for number, session in enumerate(run.sessions, 1):
        which = "It was begun by" if number == 1 else f"After step {session['first_step']} it went on by"
        yield Step(which, shlex.join(session["command"]))
    files = [name for name, version in plugins.items() if version.startswith(LOCAL)]
    loaded = "".join(f" -p {shlex.quote(name)}.py" for name in files)
    yield Step(
        f"Train it again from the configuration above, saved as {RESOLVED}",
        f"diffloom train {RESOLVED}{loaded} -o again",
    )
    if run.weights.digests and "autoencoder" not in run.config:
        yield Step("Draw from it", f"diffloom sample {shlex.quote(run.folder)}{loaded}")


def digests(run: Account) -> Iterator[tuple[str, str]]:
    """(of what, SHA-256): equal digests mean equal configurations, pictures and weights."""
    if run.sessions:
        session = run.sessions[-1]
        yield "configuration as given", session["config_digest"]
        data = session["data"]
        yield f"{data['digested']} of {data['examples']:,} examples, evenly spread", data["digest"]
    for group, digest in sorted(run.weights.digests.items()):
        yield f"{group} of the newest checkpoint", digest
