"""Adapters: anybody's VAE diagnosed, watched while it trains, and sampled with sigma^lambda, where it lives."""

from lambda_vae.adapters.diagnose import diagnose
from lambda_vae.adapters.equalize import equalize
from lambda_vae.adapters.equalize_class import equalize_class
from lambda_vae.adapters.equalize_fit import equalize_fit
from lambda_vae.adapters.equalized_normal import EqualizedNormal
from lambda_vae.adapters.likelihoods import (
    bernoulli,
    categorical,
    density,
    gaussian,
    laplace,
    mixed,
    multinomial,
    negative_binomial,
    poisson,
    std_of_kl_weight,
)
from lambda_vae.adapters.loading import load_adapter
from lambda_vae.adapters.monitor import CollapseMonitor, CollapseWarning
from lambda_vae.adapters.predict import predict

__all__ = [
    "CollapseMonitor",
    "CollapseWarning",
    "EqualizedNormal",
    "bernoulli",
    "categorical",
    "density",
    "diagnose",
    "equalize",
    "equalize_class",
    "equalize_fit",
    "gaussian",
    "laplace",
    "load_adapter",
    "mixed",
    "multinomial",
    "negative_binomial",
    "poisson",
    "predict",
    "std_of_kl_weight",
]
