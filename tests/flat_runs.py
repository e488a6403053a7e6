"""Runs by one name for each value, as the command line has them."""

from typing import Any

from lambda_vae.runs import RunConfig
from lambda_vae.runs.flat import flat, from_flat


def run_of(**values: Any) -> RunConfig:
    return from_flat(values)


def changed(config: RunConfig, **values: Any) -> RunConfig:
    """The run with other values; what its method is set to stays where the new one has it too."""
    return from_flat({**flat(config), **values})
