"""Finding and reading configuration files: paths, and the shipped ones, `diffloom:digits`."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from diffloom.registry import did_you_mean

SHIPPED = "diffloom:"
"""What the name of a shipped configuration begins with."""


@dataclass(frozen=True)
class Location:
    """A configuration file: its name as the user would write it, and where it lies."""

    name: str
    path: Path


def shipped_folder() -> Path:
    """The folder of the shipped configurations: in the installed package, or beside a checkout's `core/`."""
    package = Path(str(files("diffloom")))
    installed = package / "configs"
    return installed if installed.is_dir() else package.parents[1] / "configs"


def shipped() -> tuple[str, ...]:
    """The names of the shipped configurations, as `diffloom:NAME` takes them."""
    return tuple(sorted(path.stem for path in shipped_folder().glob("*.yaml")))


def locate(name: str | Path, *, beside: Location | None = None) -> Location:
    """The file that `name` means; relative paths start at the folder of `beside`, else at the working folder.

    Raises ValueError for an unknown shipped name.
    """
    if isinstance(name, str) and name.startswith(SHIPPED):
        wanted = name.removeprefix(SHIPPED)
        if wanted not in shipped():
            hint = did_you_mean(wanted, shipped()) or f"; there are {', '.join(shipped())}"
            raise ValueError(f"no such shipped configuration{hint}")
        return Location(name, shipped_folder() / f"{wanted}.yaml")
    if beside is None:
        return Location(str(name), Path(name))
    if beside.name.startswith(SHIPPED) and not Path(name).is_absolute():
        return Location(f"{SHIPPED}{name}", beside.path.parent / name)
    return Location(str(Path(beside.name).parent / name), beside.path.parent / name)


def text_of(location: Location) -> str:
    """The file's text. Raises ValueError saying why it cannot be read."""
    path = location.path
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"no such file{_near(path)}") from None
    except (IsADirectoryError, NotADirectoryError) as error:
        raise ValueError("this is a folder, not a file" if path.is_dir() else "no such file") from error
    except PermissionError as error:
        raise ValueError("no permission to read this file") from error
    except OSError as error:
        raise ValueError(f"cannot read this file: {error.strerror}") from error
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ValueError(f"not UTF-8 text: byte 0x{byte:02x} at offset {error.start}") from error


def _near(path: Path) -> str:
    """What was probably meant: a shipped configuration, or a file of a similar name."""
    if str(path) in shipped():
        return f"; did you mean {SHIPPED}{path}?"
    folder = path.parent
    names = [item.name for item in folder.iterdir() if item.is_file()] if folder.is_dir() else []
    found = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {folder / found[0]}?" if found else ""
