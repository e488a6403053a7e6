"""Equalizing: any VAE sampled with sigma^lambda, at its own draw of z."""

from lambda_vae.equalizing._equalize import HostEqualizer, equalize
from lambda_vae.equalizing._equalize_class import equalize_class
from lambda_vae.equalizing._equalize_fit import equalize_fit
from lambda_vae.equalizing.equalized_normal import EqualizedNormal

__all__ = ["EqualizedNormal", "HostEqualizer", "equalize", "equalize_class", "equalize_fit"]
