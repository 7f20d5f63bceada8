"""Likelihoods: distributions of a pixel, parametrised by the output of the network. `LIKELIHOODS` lists them."""

from pixelbayes.models.likelihood.base import Likelihood, bits_per_dim, draw
from pixelbayes.models.likelihood.categorical import Categorical
from pixelbayes.models.likelihood.logistics import LOG_SCALE_RANGE, MixtureOfLogistics

LIKELIHOODS: dict[str, type[Likelihood]] = {"logistics": MixtureOfLogistics, "categorical": Categorical}

__all__ = [
    "LIKELIHOODS",
    "LOG_SCALE_RANGE",
    "Categorical",
    "Likelihood",
    "MixtureOfLogistics",
    "bits_per_dim",
    "draw",
]
