"""acme-moon: five parts for diffloom."""

from acme_moon.film_net import FilmNet
from acme_moon.haar import Haar
from acme_moon.multistep import DPMSolverPlusPlus2M
from acme_moon.phase import Phase
from acme_moon.sigmoid import Sigmoid
from diffloom import Registrar, hookimpl

__all__ = ["DPMSolverPlusPlus2M", "FilmNet", "Haar", "Phase", "Sigmoid"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the five."""
    for component in (Haar, Phase, FilmNet, DPMSolverPlusPlus2M, Sigmoid):
        registrar.add(component)
