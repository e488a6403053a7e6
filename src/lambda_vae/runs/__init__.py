"""Runs: what a training run is, from its config to its result."""

from lambda_vae.runs._train import train
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.load import diagnose_run, load_run
from lambda_vae.runs.method import Method
from lambda_vae.runs.methods import METHODS

__all__ = ["METHODS", "Method", "RunConfig", "diagnose_run", "load_run", "train"]
