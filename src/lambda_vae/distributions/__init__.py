"""Distributions: one a file; a model's parts return them, so that objectives read like their equations."""

import sys
from typing import Any

from lambda_vae.deprecated import renamed
from lambda_vae.distributions.autoregressive import AutoregressiveGaussian
from lambda_vae.distributions.base import Independent, LikelihoodDistribution, Sample
from lambda_vae.distributions.bernoulli import Bernoulli, BernoulliLikelihood
from lambda_vae.distributions.bijections import AffineFlow, PlanarFlow, SplineFlow
from lambda_vae.distributions.categorical import Categorical
from lambda_vae.distributions.causal import Causal, CausalLikelihood, sample_x
from lambda_vae.distributions.counts import (
    MultinomialCounts,
    NegativeBinomialCounts,
    PoissonCounts,
    multinomial_coefficient,
)
from lambda_vae.distributions.full_gaussian import FullGaussian
from lambda_vae.distributions.full_mixture import FullGaussianMixture
from lambda_vae.distributions.gaussian import DiagGaussian, GaussianLikelihood, standard_normal
from lambda_vae.distributions.kl import closed_form_kl, kl_or_ratio
from lambda_vae.distributions.laplace import Laplace
from lambda_vae.distributions.latent import Density, PosteriorDistribution
from lambda_vae.distributions.likelihood import Likelihood
from lambda_vae.distributions.logistic_form import MixtureForm
from lambda_vae.distributions.logistic_kernel import mixture_log_prob
from lambda_vae.distributions.logistic_mixture import (
    ChannelLogisticMixtureLikelihood,
    LogisticMixture,
    LogisticMixtureLikelihood,
)
from lambda_vae.distributions.mixture import GaussianMixture
from lambda_vae.distributions.tokens import CATEGORICAL, TokenLikelihood, Tokens
from lambda_vae.distributions.torch_density import TorchDensity
from lambda_vae.distributions.transformed import Bijection, Inverse, TransformedDistribution

__all__ = [
    "CATEGORICAL",
    "LIKELIHOODS",
    "AffineFlow",
    "AutoregressiveGaussian",
    "Bernoulli",
    "BernoulliLikelihood",
    "Bijection",
    "Categorical",
    "Causal",
    "CausalLikelihood",
    "ChannelLogisticMixtureLikelihood",
    "Density",
    "DiagGaussian",
    "FullGaussian",
    "FullGaussianMixture",
    "GaussianLikelihood",
    "GaussianMixture",
    "Independent",
    "Inverse",
    "Laplace",
    "Likelihood",
    "LikelihoodDistribution",
    "LogisticMixture",
    "LogisticMixtureLikelihood",
    "MixtureForm",
    "MultinomialCounts",
    "NegativeBinomialCounts",
    "PlanarFlow",
    "PoissonCounts",
    "PosteriorDistribution",
    "Sample",
    "SplineFlow",
    "TokenLikelihood",
    "Tokens",
    "TorchDensity",
    "TransformedDistribution",
    "closed_form_kl",
    "kl_or_ratio",
    "mixture_log_prob",
    "multinomial_coefficient",
    "sample_x",
    "standard_normal",
]

#: Every likelihood of numbers by its name on the command line. Sequences have one alone, the categorical.
LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": BernoulliLikelihood,
    "gaussian": GaussianLikelihood,
    "logistic-mixture": LogisticMixtureLikelihood,
    "logistic-mixture-channels": ChannelLogisticMixtureLikelihood,
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any name of the last release
    return renamed(sys.modules[__name__], __name__, name)
