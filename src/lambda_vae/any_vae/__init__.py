"""Anybody's VAE: diagnosed, predicted, and watched while it trains, without a change to its code."""

from lambda_vae.any_vae._diagnose import diagnose
from lambda_vae.any_vae._predict import predict
from lambda_vae.any_vae.loading import load_adapter
from lambda_vae.any_vae.monitor import CollapseMonitor, CollapseWarning

__all__ = ["CollapseMonitor", "CollapseWarning", "diagnose", "load_adapter", "predict"]
