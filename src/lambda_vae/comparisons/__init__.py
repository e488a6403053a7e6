"""Comparisons: many runs on the same data, order and noise, here or on a cluster, and searches among them."""

from lambda_vae.comparisons._compare import CompareConfig, compare

__all__ = ["CompareConfig", "compare"]
