"""The contract of scvi-tools' models: each small, and trained for two epochs without a word."""

import logging
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import anndata
import numpy as np
import scvi
import torch
from host_contract import HostCase
from torch import Tensor, nn

from lambda_vae.integrations.scvi import diagnose_scvi, equalize_scvi

DIMENSIONS, DEAD = 4, {1, 3}


def cells() -> anndata.AnnData:
    """200 cells of four factors and 30 genes or regions."""
    chance = np.random.RandomState(0)
    rates = np.exp(0.7 * chance.randn(200, 4) @ chance.randn(4, 30))
    return anndata.AnnData(chance.poisson(rates).astype(np.float32))


def trained(make: Callable[[], Any], delta: float | None = None) -> Any:
    """The model after a short training, with lambda or without."""
    for name in ("lightning.pytorch", "lightning.fabric.utilities.seed", "scvi"):
        logging.getLogger(name).setLevel(logging.ERROR)
    before, scvi.settings.seed = scvi.settings.seed, 0
    try:
        model = make()
        if delta is not None:
            equalize_scvi(model, delta, refresh_every=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on numbers of workers
            model.train(max_epochs=2, accelerator="cpu", enable_progress_bar=False)
    finally:
        scvi.settings.seed = before
    return model


def weights(make: Callable[[], Any], delta: float | None) -> dict[str, Tensor]:
    return dict(trained(make, delta).module.state_dict())


def kl(make: Callable[[], Any]) -> tuple[float, float]:
    """Ours, and by scvi's own loss."""
    model = trained(make)
    report = diagnose_scvi(model, indices="all", iw_samples=2)
    model.module.eval()
    with torch.no_grad():
        parts = [local(model.module(tensors)[2].kl_local) for tensors in model._make_data_loader(model.adata)]
    return report.rate, float(torch.cat(parts).mean())


def local(parts: Any) -> Tensor:
    found: Tensor = torch.stack(list(parts.values())).sum(0) if isinstance(parts, dict) else parts
    return found


def planted(make: Callable[[], Any]) -> tuple[Any, set[int]]:
    """Two dimensions whose code is that of the prior, the others narrow and far apart."""
    model = trained(make)
    encoder, dead = model.module.z_encoder, sorted(DEAD)
    alive = [k for k in range(DIMENSIONS) if k not in DEAD]
    mean, log_variance = (last_layer(part) for part in (encoder.mean_encoder, encoder.var_encoder))
    with torch.no_grad():
        for part in (mean, log_variance):
            part.weight[dead] = 0.0
            part.bias[dead] = 0.0
        mean.weight[alive] *= 10.0
        log_variance.weight[alive], log_variance.bias[alive] = 0.0, -4.0
    return diagnose_scvi(model, iw_samples=2), DEAD


def last_layer(part: nn.Module) -> nn.Linear:
    return [layer for layer in part.modules() if isinstance(layer, nn.Linear)][-1]


def case(make: Callable[[], Any], refused: Mapping[str, Callable[[], object]]) -> HostCase:
    return HostCase(partial(weights, make), partial(kl, make), partial(planted, make), refused)
