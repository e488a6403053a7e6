"""Distributions: one a file; rooms return them, so that objectives read like their equations."""

from lambda_vae.distributions.bernoulli import Bernoulli, BernoulliLikelihood
from lambda_vae.distributions.gaussian import DiagGaussian, GaussianLikelihood, standard_normal
from lambda_vae.distributions.likelihood import Likelihood

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "BernoulliLikelihood",
    "DiagGaussian",
    "GaussianLikelihood",
    "Likelihood",
    "standard_normal",
]

#: Every likelihood by its name on the command line.
LIKELIHOODS: dict[str, type[Likelihood]] = {"bernoulli": BernoulliLikelihood, "gaussian": GaussianLikelihood}
