"""What was told already: a cause is told once, and again when it worsens or after a long while."""

from __future__ import annotations

from collections.abc import Iterable

from diffloom.sentinel.finding import Alarm, Finding

WORSE = 4.0
"""A figure so many times the one that was told is news."""
LONG_STEPS = 10_000
"""After so many steps the same is told again, for those who read only the end, and no longer explains anything."""

UNLEARNED = frozenset(
    {"dead-layer", "exploding-layer", "condition-ignored", "condition-uninformative", "ema-slow", "ema-fast"}
)
"""What is no wonder in a network that does not learn."""
EXPLAINED = {
    "learning-rate-too-high": UNLEARNED,
    "latents-unscaled": UNLEARNED | {"learning-rate-too-high"},
    "pictures-unscaled": UNLEARNED | {"learning-rate-too-high"},
    "exploding-layer": UNLEARNED,
    "dead-layer": frozenset({"condition-ignored", "condition-uninformative"}),
    "always-dropped": frozenset({"condition-ignored", "condition-uninformative"}),
}
"""By cause: what follows from it and is not told beside it, nor after it."""


class Told:
    """What a run was told. Each process of a run, and each start of it, begins anew."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[int, float]] = {}

    def new(self, step: int, alarms: Iterable[Alarm]) -> list[Finding]:
        """The alarms that are news after this step, as findings."""
        raised = list(alarms)
        recent = {cause for (cause, _), (told_at, _) in self._last.items() if step - told_at < LONG_STEPS}
        causes = {alarm.cause for alarm in raised} | recent
        explained = frozenset[str]().union(*(EXPLAINED.get(cause, frozenset()) - {cause} for cause in causes))
        news = [alarm for alarm in raised if alarm.cause not in explained and self._is_news(step, alarm)]
        self._last.update({(alarm.cause, alarm.about): (step, alarm.figure) for alarm in news})
        return [Finding(step, alarm.cause, alarm.text) for alarm in news]

    def _is_news(self, step: int, alarm: Alarm) -> bool:
        last = self._last.get((alarm.cause, alarm.about))
        if last is None:
            return True
        told_at, figure = last
        return alarm.figure >= WORSE * figure or step - told_at >= LONG_STEPS
