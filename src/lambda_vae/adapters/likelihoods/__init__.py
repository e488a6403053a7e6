"""log p(x|z) from a decoder: one helper a family, each of which says what it is, so that nothing has to be guessed."""

from lambda_vae.adapters.likelihoods.base import DecoderLikelihood
from lambda_vae.adapters.likelihoods.continuous import gaussian, laplace
from lambda_vae.adapters.likelihoods.counts import multinomial, negative_binomial, poisson
from lambda_vae.adapters.likelihoods.density import density
from lambda_vae.adapters.likelihoods.discrete import bernoulli, categorical
from lambda_vae.adapters.likelihoods.mixed import mixed
from lambda_vae.adapters.likelihoods.noise import std_of_kl_weight

__all__ = [
    "DecoderLikelihood",
    "bernoulli",
    "categorical",
    "density",
    "gaussian",
    "laplace",
    "mixed",
    "multinomial",
    "negative_binomial",
    "poisson",
    "std_of_kl_weight",
]
