"""log p(x|z) from a decoder: one helper a family, each of which says what it is, so that nothing has to be guessed."""

from lambda_vae.likelihoods._density import density
from lambda_vae.likelihoods._mixed import mixed
from lambda_vae.likelihoods.base import DecoderLikelihood
from lambda_vae.likelihoods.continuous import gaussian, laplace
from lambda_vae.likelihoods.counts import multinomial, negative_binomial, poisson
from lambda_vae.likelihoods.discrete import bernoulli, categorical
from lambda_vae.likelihoods.noise import std_of_kl_weight

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
