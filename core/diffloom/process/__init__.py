"""The mathematics of diffusion: schedules, predictions, the forward and the reverse process, keyed noise."""

from diffloom.process.noise import Draws, keyed_generator
from diffloom.process.types import CLEAN, Denoised, Level, Process, Step

__all__ = ["CLEAN", "Denoised", "Draws", "Level", "Process", "Step", "keyed_generator"]
