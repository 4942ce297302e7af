"""What a network is asked at each level of a walk, and how its answer is read: numbers, settled before the step.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from diffloom.kinds import Conversion
from diffloom.process.denoised import Form
from diffloom.process.types import Level

OF_X_T, OF_OUTPUT = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64, device="cpu").unbind()
"""x_t and the output, where one is alone and then the other."""
NOTHING_PUT: Mapping[Level, tuple[Question, Tensor]] = {}


@dataclass(frozen=True, slots=True)
class Question:
    """That of one level."""

    t: float
    """The time that the network is shown."""
    scale_in: float
    """What x_t is multiplied by."""
    form: Form
    """The numbers by which x₀ and ε are made of x_t and the answer, in float64."""

    @classmethod
    def of(cls, prediction: Conversion, level: Level) -> Question:
        """A conversion is linear in both together: it is told by what it makes of x_t alone and of the output alone."""
        if level.is_clean:
            raise ValueError("the clean level has nothing to denoise")
        alpha, sigma = level.alpha, level.sigma
        x0, eps = prediction.x0_eps(OF_OUTPUT, OF_X_T, alpha, sigma)
        scale_in = float(prediction.scale_in(alpha, sigma))
        return cls(level.t, scale_in, Form(*x0.tolist(), *eps.tolist()))


class Questions(dict[Level, Question]):
    """Those of a walk, by level: of `levels` at once, of any other when it is first met."""

    def __init__(self, prediction: Conversion, levels: Iterable[Level] = ()) -> None:
        super().__init__()
        self._prediction = prediction
        self._put: dict[tuple[int, torch.device], dict[Level, tuple[Question, Tensor]]] = {}
        self._times: dict[torch.device, Tensor] = {}
        for level in levels:
            if not level.is_clean:
                _ = self[level]

    def __missing__(self, level: Level) -> Question:
        """Raises ValueError at the clean level."""
        made = self[level] = Question.of(self._prediction, level)
        return made

    def put(self, level: Level, rows: int, device: torch.device) -> tuple[Question, Tensor]:
        """That of a level, and its time for each of so many rows, (B,) float32.

        The times of all questions are made when one is needed, and are on the device once: there is nothing to bring
        there in a step, also not where guidance begins or ends, and with it the number of rows changes.
        """
        known = self._put.get((rows, device), NOTHING_PUT).get(level)
        return self._newly_put(level, rows, device) if known is None else known

    def _newly_put(self, level: Level, rows: int, device: torch.device) -> tuple[Question, Tensor]:
        _ = self[level]
        if device not in self._times or len(self._times[device]) < len(self):
            times = [question.t for question in self.values()]
            self._times[device] = torch.tensor(times, dtype=torch.float32, device=device)
        t_TB = self._times[device][:, None].repeat(1, rows)
        put = dict(zip(self, zip(self.values(), t_TB.unbind(), strict=True), strict=True))
        self._put[rows, device] = put
        return put[level]

    def expecting(self, at: Callable[[float], Level]) -> Callable[[float], Level]:
        """`Course.at` whose levels are settled too: a sampler looks for them before it walks, and asks when it does."""

        def expected(log_snr: float) -> Level:
            level = at(log_snr)
            _ = self[level]
            return level

        return expected
