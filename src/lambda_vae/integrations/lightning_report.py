"""Lightning: the report on a LightningModule."""

from typing import Any

from torch import nn

from lambda_vae.any_vae._diagnose import diagnose
from lambda_vae.any_vae.external import Encode, LogLikelihood
from lambda_vae.any_vae.modes import evaluated
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.errors import InputError

__all__ = ["diagnose_lightning"]


def diagnose_lightning(
    module: nn.Module, data: object, log_likelihood: LogLikelihood, *, encode: Encode | None = None, **options: Any
) -> CollapseReport:
    """Return the report on a LightningModule, in eval mode; afterwards its modes are what they were.

    Args:
        module: With `encode`, x -> (mu, logvar), unless that is given.
        data: A LightningDataModule or a Trainer, whose validation data are taken, or whatever `diagnose` takes.
        log_likelihood: (x, z) -> log p(x|z), such as `bernoulli(module.decoder)`.
        encode: x -> (mu, logvar).
        options: Of `diagnose`, such as `equalizer=callback.equalizer` and `history=callback.monitor.history`.

    Raises:
        InputError: As for `diagnose`; or there is no encode, or no validation data.
    """
    encode = encode or getattr(module, "encode", None)
    if not callable(encode):
        raise InputError(
            f"{type(module).__name__} has no encode; give diagnose_lightning(..., encode=x -> (mu, logvar))"
        )
    with evaluated(module):
        return diagnose(encode, log_likelihood, _validation(data), **options)


def _validation(data: Any) -> object:
    """The validation loader of a data module or a Trainer; other data as they are."""
    if hasattr(data, "val_dataloaders"):
        loaders = data.val_dataloaders
    elif callable(getattr(data, "val_dataloader", None)):
        data.prepare_data()
        data.setup("validate")
        loaders = data.val_dataloader()
    else:
        return data
    if loaders is None or not hasattr(loaders, "__iter__"):
        raise InputError(f"{type(data).__name__} has no validation data; give a DataLoader")
    if isinstance(loaders, list | tuple) and loaders and hasattr(loaders[0], "dataset"):
        if len(loaders) > 1:
            raise InputError(f"{type(data).__name__} has {len(loaders)} validation loaders; give one of them")
        return loaders[0]
    return loaders
