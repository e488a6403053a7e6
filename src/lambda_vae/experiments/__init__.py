"""Experiments: the table of methods, what a run is, and many of them side by side."""

from lambda_vae.experiments.compare import CompareConfig, compare
from lambda_vae.experiments.config import RunConfig
from lambda_vae.experiments.finished import diagnose_run, load_run
from lambda_vae.experiments.method import Method
from lambda_vae.experiments.methods import METHODS
from lambda_vae.experiments.run import train

__all__ = ["METHODS", "CompareConfig", "Method", "RunConfig", "compare", "diagnose_run", "load_run", "train"]
