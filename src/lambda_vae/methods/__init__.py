"""Methods: ways to train a VAE, each one file that owns its settings, its paper and its parts."""

from lambda_vae.methods.base import METHODS, Context, Method, composed, setting
from lambda_vae.methods.spec import method_named
from lambda_vae.methods.table import *  # noqa: F403 - every class of a method

__all__ = ["METHODS", "Context", "Method", "composed", "method_named", "setting"]
