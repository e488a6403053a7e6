"""The command line."""

from lambda_vae.cli._main import main

__all__ = ["main"]
