"""Samplers that walk in ways of their own, as a YAML file names them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from diffloom.kinds import ImageInfo, Sampler, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from diffloom_sde.ode import ODE
    from diffloom_sde.predictor_corrector import PredictorCorrector
    from diffloom_sde.repaint import RePaint


PURE_START = (
    "reverse_diffusion takes short steps for granted, and the first, from where no signal is left, is infinitely long; "
    "take predictor: ancestral, or a schedule that keeps some signal"
)


class PredictorCorrectorSampler(Sampler):
    """Langevin steps at each level, then a step to the next (Song et al. 2021)."""

    name = "predictor_corrector"

    predictor: Literal["ancestral", "reverse_diffusion"] = "ancestral"
    """The step to the next level: DDPM's, with the model's `variance`, or the reverse SDE's as the forward one's."""
    corrector_steps: NonNegativeInt = 1
    """Langevin steps at each level."""
    snr: PositiveFloat = 0.16
    """How large a Langevin step along the score is, against its noise: the paper's r."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        """Not the reverse SDE, whose long steps keep no marginals; Langevin steps that float32's ε can bear."""
        return (cls(snr=0.1), cls(corrector_steps=0))

    @property
    def stochastic(self) -> bool:
        """Always."""
        return True

    def check(self, *, image: ImageInfo, schedule: Schedule, times: Sequence[float]) -> None:
        """Raise ValueError where reverse_diffusion would begin without signal."""
        if schedule.zero_snr and self.predictor == "reverse_diffusion":
            raise ValueError(PURE_START)

    def calls(self, steps: int) -> int:
        """One for each Langevin step, and one for the predictor."""
        return (self.corrector_steps + 1) * steps

    def build(self) -> PredictorCorrector:
        """The walk."""
        from diffloom_sde.predictor_corrector import PredictorCorrector

        return PredictorCorrector(
            predictor=self.predictor, corrector_steps=self.corrector_steps, snr=self.snr
        )


class ODESampler(Sampler):
    """An adaptive solver on the probability flow (Song et al. 2021), by torchdiffeq.

    It goes from the first level to the last noisy one in steps of its own, one sample after another, and takes what is
    predicted there; of the spacing, only those two levels count.
    """

    name = "ode"
    equation: ClassVar[str] = (
        "dy/dθ = cos θ·ε̂ − sin θ·x̂₀, θ = atan(σ/α), y = x_t/√(α² + σ²), solved by {method} to rtol "
        "{rtol} and atol {atol}"
    )
    ends_early: ClassVar[bool] = True
    own_steps: ClassVar[bool] = True

    method: Literal["dopri5", "dopri8", "bosh3", "adaptive_heun"] = "dopri5"
    """The solver. torchdiffeq's fehlberg2 is left out: its errors are a hundred times its tolerance."""
    rtol: PositiveFloat = 1e-5
    """Error allowed in a step, relative to x; a network, shown its times in float32, honours about 1e-7 and no less."""
    atol: PositiveFloat = 1e-5
    """Error allowed in a step, in units of x, beside that."""
    max_calls: PositiveInt = 2000
    """Network calls after which a sample is given up with an error; by the default tolerances about 100 are usual."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(method="dopri8", rtol=1e-8, atol=1e-8),)

    def calls(self, steps: int) -> None:
        """As many as the tolerances ask for."""
        return

    def build(self) -> ODE:
        """The walk."""
        from diffloom_sde.ode import ODE

        return ODE(method=self.method, rtol=self.rtol, atol=self.atol, max_calls=self.max_calls)


class RePaintSampler(Sampler):
    """Inpainting by a model that was not trained for it (Lugmayr et al. 2022).

    The known part of a picture stays; the rest is drawn to fit, with the model's `variance`. All samples share the
    picture. In Python, `diffloom_sde.RePaint` takes tensors in place of files.
    """

    name = "repaint"
    own_steps: ClassVar[bool] = True

    picture: str
    """A picture file of the model's own size and channels."""
    mask: str
    """A picture file of the same size: what is white is kept, what is black is painted."""
    jump_length: PositiveInt = 10
    """How many levels the walk goes back up at a time."""
    jump_n_sample: PositiveInt = 10
    """How often it passes each stretch of so many levels; 1 never goes back."""

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[Self]:
        """None: the kit's samples are of many shapes, and a picture has one."""
        return ()

    @property
    def stochastic(self) -> bool:
        """Always."""
        return True

    def calls(self, steps: int) -> int:
        """One for each denoising step, those that are taken again included."""
        from diffloom_sde.jumps import legs

        return sum(1 for _ in legs(steps, jump_length=self.jump_length, jump_n_sample=self.jump_n_sample))

    def check(self, *, image: ImageInfo, schedule: Schedule, times: Sequence[float]) -> None:
        """Raise ValueError for files that cannot be read, or are of another shape."""
        from diffloom_sde.picture_files import opened, require_fit

        require_fit(opened("picture", self.picture), opened("mask", self.mask), image)

    def build(self) -> RePaint:
        """The walk. Raises DataError for files that cannot be read."""
        from diffloom_sde.known import brighter_than_middle_grey, pixels
        from diffloom_sde.picture_files import opened
        from diffloom_sde.repaint import RePaint

        return RePaint(
            picture_CHW=pixels(opened("picture", self.picture)),
            mask_HW=brighter_than_middle_grey(opened("mask", self.mask)),
            jump_length=self.jump_length,
            jump_n_sample=self.jump_n_sample,
        )
