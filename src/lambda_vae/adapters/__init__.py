"""Adapters: anybody's VAE diagnosed, watched while it trains, and sampled with sigma^lambda, in the code it lives in."""

from lambda_vae.adapters.diagnose import diagnose
from lambda_vae.adapters.likelihoods import bernoulli, density, gaussian

__all__ = ["bernoulli", "density", "diagnose", "gaussian"]
