"""Runs: what a training run is, from its config to its result."""

from lambda_vae.methods import METHODS, Method
from lambda_vae.runs._train import train
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.load import diagnose_run, load_run
from lambda_vae.runs.networks import GRU, LSTM, MLP, PixelCNN, ResNet, Transformer
from lambda_vae.runs.resolve import Run

__all__ = [
    "GRU",
    "LSTM",
    "METHODS",
    "MLP",
    "Method",
    "PixelCNN",
    "ResNet",
    "Run",
    "RunConfig",
    "Transformer",
    "diagnose_run",
    "load_run",
    "train",
]
