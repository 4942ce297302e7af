"""Schedule `betas`: one-step variances as they are given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from diffloom.kinds import Schedule, SpaceInfo, TimeAxis
from diffloom.process.betas_file import read_betas

if TYPE_CHECKING:
    from typing import Self

    from diffloom.process.schedule import TableSchedule

Beta = Annotated[float, Field(gt=0, le=1)]


def _content(value: Any) -> Any:
    """What a file says, where one is named; a list of JSON as a tuple."""
    if isinstance(value, str):
        return read_betas(Path(value).expanduser())
    return tuple(value) if isinstance(value, list) else value


class BetasSchedule(Schedule):
    """One-step variances as given, or from a file. diffusers says `trained_betas`, latent-diffusion `given_betas`."""

    name = "betas"

    values: Annotated[
        tuple[Beta, ...],
        Field(min_length=1),
        BeforeValidator(_content),
        WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]}),
    ]
    """β₁ … β_T, or a .json, .txt, .npy or .safetensors file of them, which is read at once: the numbers are what
    travels with the weights. A last β of 1 leaves no signal."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        values = tuple(0.01 * (step + 1) for step in range(20))
        (folder / "betas.txt").write_text("\n".join(map(str, values)), encoding="utf-8")
        return (cls(values=values), cls.model_validate({"values": str(folder / "betas.txt")}))

    @property
    def axis(self) -> TimeAxis:
        """The table's indices."""
        return TimeAxis.table(len(self.values))

    @property
    def zero_snr(self) -> bool:
        """Whether the last β is 1."""
        return self.values[-1] == 1

    def build(self, *, space: SpaceInfo | None = None) -> TableSchedule:
        """The tables in float64. Raises ValueError for a β of 1 before the last, or ᾱ that underflows."""
        from diffloom.process.schedule import TableSchedule

        return TableSchedule.from_betas(self.values)
