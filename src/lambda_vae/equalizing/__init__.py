"""Equalizing: anybody's VAE sampled with sigma^lambda, at the place where it samples."""

from lambda_vae.equalizing._equalize import equalize
from lambda_vae.equalizing._equalize_class import equalize_class
from lambda_vae.equalizing._equalize_fit import equalize_fit
from lambda_vae.equalizing.equalized_normal import EqualizedNormal

__all__ = ["EqualizedNormal", "equalize", "equalize_class", "equalize_fit"]
