"""The trackers of one run. They listen; one that raises is reported once and hears no more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from PIL.Image import Image

from diffloom.errors import DiffloomError
from diffloom.hooks import RunInfo
from diffloom.kinds import Tracker, Tracking
from diffloom.sentinel import Finding

logger = logging.getLogger("diffloom")


class Trackers:
    """All of a run's trackers as one.

    Raises DiffloomError for one that cannot begin: whoever asked to be told wants to know before the hours are spent.
    """

    def __init__(self, configs: Sequence[Tracker], run: RunInfo) -> None:
        self._listening: dict[str, Tracking] = {}
        for number, config in enumerate(configs):
            name = f"train.trackers[{number}] ({config.canonical})"
            try:
                self._listening[name] = config.build(run)
            except (Exception, SystemExit) as error:
                self.close("failed")
                if isinstance(error, DiffloomError):
                    raise
                raise DiffloomError(
                    f"{name}: cannot begin: {type(error).__name__}: {error}; mend that, or remove the tracker"
                ) from error

    def figures(self, step: int, row: Mapping[str, float]) -> None:
        """A row of metrics was logged."""
        self._tell(lambda tracking: tracking.figures(step, dict(row)))

    def picture(self, step: int, name: str, picture: Image) -> None:
        """A picture was drawn."""
        self._tell(lambda tracking: tracking.picture(step, name, picture.copy()))

    def finding(self, finding: Finding) -> None:
        """The sentinel noticed something."""
        self._tell(lambda tracking: tracking.finding(finding.step, finding.cause, finding.text))

    def close(self, reason: str) -> None:
        """The run stops."""
        self._tell(lambda tracking: tracking.close(reason))

    def _tell(self, tell: Callable[[Tracking], None]) -> None:
        for name, tracking in list(self._listening.items()):
            try:
                tell(tracking)
            except (Exception, SystemExit) as error:
                del self._listening[name]
                logger.warning(
                    "%s raised %s: %s; it is not told of the rest of this run",
                    name,
                    type(error).__name__,
                    error,
                    exc_info=logger.isEnabledFor(logging.DEBUG),
                )
