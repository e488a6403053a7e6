"""Exact ground: models of which every number is known in closed form, for estimators to be held against."""

from lambda_vae.exact.linear import LinearGaussian, optimal_linear_gaussian, surviving

__all__ = ["LinearGaussian", "optimal_linear_gaussian", "surviving"]
