"""`plugins new`: a small package of one's own, written from the templates beside this file. Needs no torch."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from pathlib import Path
from string import Template

import diffloom
from diffloom.errors import PluginError
from diffloom.registry import HOME

SUFFIX = ".template"
TEMPLATES = Path(__file__).parent / "templates" / "plugin"


def write_package(name: str, folder: Path) -> list[Path]:
    """Write the package of a new plugin distribution into `folder`; returns its files.

    Raises PluginError for a name that cannot be one, or is taken, and for a folder that holds something already.
    """
    package = checked_package(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PluginError(f"{folder} exists already and is not empty; give another name, or a folder with -o")
    words = {"distribution": name, "package": package, "version": diffloom.__version__}
    written = []
    for template in sorted(TEMPLATES.rglob(f"*{SUFFIX}")):
        place = template.relative_to(TEMPLATES).as_posix().removesuffix(SUFFIX)
        path = folder / place.replace("src/package/", f"src/{package}/")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                Template(template.read_text(encoding="utf-8")).substitute(words), encoding="utf-8"
            )
        except OSError as error:
            raise PluginError(f"{path}: cannot be written: {error.strerror}") from error
        written.append(path)
    return written


def checked_package(name: str) -> str:
    """The import package of a distribution's name. Raises PluginError where either would not do."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise PluginError(
            f"{name!r} cannot name a package: use lower-case letters and digits, joined by single dashes"
        )
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or package == HOME:
        raise PluginError(f"{name!r} is Python's or diffloom's own name; choose another")
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        raise PluginError(f"{name!r} is installed already, in {spec.origin}; choose another name")
    return package
