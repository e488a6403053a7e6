"""Experiments: the table of methods, what a run is, and many of them side by side."""

from lambda_vae.experiments.compare import CompareConfig, compare
from lambda_vae.experiments.config import RunConfig
from lambda_vae.experiments.export import export_run
from lambda_vae.experiments.finished import diagnose_run, load_run
from lambda_vae.experiments.hub import push_to_hub
from lambda_vae.experiments.method import Method
from lambda_vae.experiments.methods import METHODS
from lambda_vae.experiments.run import train
from lambda_vae.experiments.sharing import SharedModel, from_pretrained, share_run

__all__ = [
    "METHODS",
    "CompareConfig",
    "Method",
    "RunConfig",
    "SharedModel",
    "compare",
    "diagnose_run",
    "export_run",
    "from_pretrained",
    "load_run",
    "push_to_hub",
    "share_run",
    "train",
]
