"""Raw conditions as users and data give them → one `Condition` for a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from diffloom.condition import Condition
from diffloom.errors import DiffloomError
from diffloom.kinds import Conditioner, Encoder, Setting
from diffloom.process import Draws
from diffloom.registry import did_you_mean

Raw = Mapping[str, Sequence[Any]]
"""For each conditioner one raw value per sample; None stands for the null condition."""


class Conditioning:
    """The conditioners of one model, together: their configurations and their encoders, by the same names."""

    def __init__(
        self, configs: Mapping[str, Conditioner], encoders: Mapping[str, Encoder], setting: Setting
    ) -> None:
        self.configs = configs
        self.encoders = encoders
        self.setting = setting

    def check(
        self, conditions: Mapping[str, Any], count: int | None
    ) -> tuple[dict[str, list[Any]], int | None]:
        """Conditions as `sample(label=[3, 7])` takes them, in their normal form, one list of equal length for each.

        A single value serves every sample; a condition left out is the conditioner's default, mostly null. Returns the
        lists and how many samples that makes; None where nothing says. Raises DiffloomError for unknown names, bad
        values and lists that do not agree.
        """
        self._require_known(conditions)
        lists = {name: value for name, value in conditions.items() if isinstance(value, list)}
        for name, values in lists.items():
            count = len(values) if count is None else count
            _require_one_for_each(name, values, count)
        if count is None and any(value is not None for value in conditions.values()):
            count = 1
        return {
            name: [self._checked(name, value) for value in lists.get(name, [single] * (count or 1))]
            for name, config in self.configs.items()
            for single in [conditions.get(name) if name in conditions else config.default(self.setting)]
        }, count

    def check_negative(self, negative: Mapping[str, Any], count: int) -> dict[str, list[Any]]:
        """The same for what guidance leads away from; only what was given is in the result."""
        self._require_known(negative)
        checked = {}
        for name, value in negative.items():
            values = value if isinstance(value, list) else [value] * count
            _require_one_for_each(f"negative {name}", values, count)
            checked[name] = [self._checked(name, value) for value in values]
        return checked

    def _require_known(self, conditions: Mapping[str, Any]) -> None:
        for name in conditions.keys() - self.configs.keys():
            known = ", ".join(self.configs) or "none"
            raise DiffloomError(
                f"{name}: this model has no such condition{did_you_mean(name, self.configs)} (it has: {known})"
            )

    def _checked(self, name: str, value: Any) -> Any:
        config = self.configs[name]
        if value is None:
            if config.dropout == 0:
                raise DiffloomError(
                    f"{name}: this model never saw a missing {name} (its dropout is 0), so it must be given"
                )
            return None
        try:
            return config.check(value)
        except ValueError as error:
            raise DiffloomError(f"{name}: {error}") from error

    def encode(self, raw: Raw, *, device: torch.device) -> Condition:
        """The batch's condition; rows whose raw value is None get the null condition."""
        return Condition.join([self._encode(name, raw[name], device) for name in self.configs])

    def _encode(self, name: str, values: Sequence[Any], device: torch.device) -> Condition:
        encoder = self.encoders[name]
        given = [value for value in values if value is not None]
        if not given:
            return _moved(encoder.null(len(values)), device)
        if len(given) == len(values):
            return _moved(encoder.encode(values), device)
        null = _moved(encoder.null(len(values)), device)
        filler = given[0]  # any valid value: its rows are replaced by the null condition below
        encoded = _moved(encoder.encode([filler if value is None else value for value in values]), device)
        keep_B = torch.tensor([value is not None for value in values], device=device)
        return encoded.where(keep_B, null)

    def opposite(self, raw: Raw, negative: Raw, *, device: torch.device) -> Condition:
        """What guidance leads away from: the negative conditions, and the null ones where none are given.

        A condition that training never dropped (a picture to be repainted, a size) stands on both sides.
        """
        parts = []
        for name, config in self.configs.items():
            if name in negative:
                parts.append(self._encode(name, negative[name], device))
            elif config.dropout > 0:
                parts.append(_moved(self.encoders[name].null(len(raw[name])), device))
            else:
                parts.append(self._encode(name, raw[name], device))
        return Condition.join(parts)

    def encode_for_training(self, raw: Raw, draws: Draws, *, device: torch.device) -> Condition:
        """The batch's condition with each conditioner's own dropout, keyed by example."""
        parts = []
        for name, config in self.configs.items():
            encoded = _moved(self.encoders[name].encode([config.check(value) for value in raw[name]]), device)
            if config.dropout > 0:
                keep_B = (draws.uniform(f"dropout/{name}") >= config.dropout).to(device)
                encoded = encoded.where(keep_B, _moved(self.encoders[name].null(len(keep_B)), device))
            parts.append(encoded)
        return Condition.join(parts)


def _moved(condition: Condition, device: torch.device) -> Condition:
    return condition.map(lambda slot: slot.to(device))


def _require_one_for_each(name: str, values: Sequence[Any], count: int) -> None:
    if len(values) != count or not values:
        raise DiffloomError(f"{name}: {len(values)} values for {count} samples; give one, or one for each")
