"""Where measured statistics are stored: in the configuration itself, or in a small one that extends it."""

from __future__ import annotations

import codecs
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diffloom import config
from diffloom.config import Document, Resolved
from diffloom.config.files import SHIPPED
from diffloom.config.plain import plain
from diffloom.errors import ConfigError, Problem
from diffloom.kinds import LatentSpace, Statistics
from diffloom.latents.statistics_text import extending, with_statistics
from diffloom.registry import Registry
from diffloom.training.replacement import SUFFIX, replace_text


@dataclass(frozen=True)
class StatisticsFile:
    """A configuration file, read, whose latent space is to be given statistics."""

    file: str
    """As the user named it."""
    resolved: Resolved
    overrides: Sequence[str]
    """With which it was read."""
    output: Path | None
    """A new file that extends it; None for the file itself."""
    registry: Registry

    @property
    def path(self) -> Path:
        """Where the statistics go."""
        return self.output or Path(self.file)

    @property
    def document(self) -> Document:
        """The configuration. Raises ConfigError for an autoencoder's own, which has nothing to be scaled for."""
        return config.require_diffusion(self.resolved.document, place=self.file)

    def require(self) -> None:
        """Raises ConfigError where statistics could not be stored: better before they are measured than after."""
        document = self.document
        space = document.space
        if not isinstance(space, LatentSpace):
            raise self._problem("space", f"{space.canonical} has no latents to calibrate")
        if space.statistics is None and space.is_normalised:
            raise self._problem(
                "space.scale" if space.scale != 1 else "space.shift",
                f"scale {space.scale:g} and shift {space.shift:g} are a normalisation already; remove them, then "
                "calibrate",
            )
        if touching := [text for text in self.overrides if text.lstrip().startswith("space")]:
            raise ConfigError(
                [
                    Problem(
                        f"override {touching[0]!r}",
                        f"the statistics would not belong to the space as {self.file} has it; write this into "
                        f"{self.file}",
                    )
                ]
            )
        channels = document.space_info.channels
        self._text(Statistics(mean=(0.0,) * channels, std=(1.0,) * channels, examples=1, data="0" * 64))

    @property
    def told(self) -> str:
        """What becomes of the file at `path`, to say once it has."""
        if self.output is None:
            return "has the statistics now, as space.statistics; all else in it is as it was"
        return f"is new, and extends {self.file} by its space.statistics"

    def write(self, statistics: Statistics) -> None:
        """Store them, whole or not at all; a link stays one. Raises ConfigError or RunError."""
        replace_text(self.path.resolve(), self._text(statistics))

    def _text(self, statistics: Statistics) -> str:
        """What to write, proved by reading it: the configuration as it was, and these statistics."""
        text = self._edited(statistics) if self.output is None else self._extending(self.output, statistics)
        trial = self.path.with_name(f".{self.path.stem}{SUFFIX}.yaml")
        try:
            replace_text(trial, text)
            read = config.load(trial, self.overrides, registry=self.registry).document
            is_meant = plain(read) == plain(_with(self.document, statistics))
        except ConfigError:
            is_meant = False
        finally:
            trial.unlink(missing_ok=True)
        if not is_meant:
            raise self._problem(
                "space",
                f"its text cannot take statistics (aliases?); write them beside it with -o {self._beside}",
            )
        return text

    def _edited(self, statistics: Statistics) -> str:
        if self.file.startswith(SHIPPED):
            raise self._problem(
                "space", f"is shipped and stays as it is; write beside it with -o {self._beside}"
            )
        content = Path(self.file).read_bytes()
        mark = "\ufeff" if content.startswith(codecs.BOM_UTF8) else ""
        text = with_statistics(content.decode("utf-8-sig"), statistics)
        if text is None:
            raise ConfigError(
                [
                    Problem(
                        self.file,
                        "space: has no keys in this file itself; write its statistics into one that extends it, with "
                        f"-o {self._beside}",
                    )
                ]
            )
        return mark + text

    def _extending(self, output: Path, statistics: Statistics) -> str:
        if output.exists():
            raise self._problem("", f"-o {output}: exists already; remove it, or choose another")
        shipped = self.file.startswith(SHIPPED)
        return extending(self.file if shipped else os.path.relpath(self.file, output.parent), statistics)

    @property
    def _beside(self) -> str:
        """A file that the user could have meant."""
        return f"{Path(self.file.removeprefix(SHIPPED)).stem}_calibrated.yaml"

    def _problem(self, path: str, message: str) -> ConfigError:
        origin = self.resolved.origins.get(path, self.file)
        return ConfigError([Problem(origin, f"{path}: {message}" if path else message)])


def _with(document: Document, statistics: Statistics) -> Document:
    space = document.space
    assert isinstance(space, LatentSpace)
    return document.model_copy(update={"space": space.model_copy(update={"statistics": statistics})})
