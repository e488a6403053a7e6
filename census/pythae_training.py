"""pythae's VAE with its defaults on the digits of scikit-learn."""

import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, BetaVAE, BetaVAEConfig, VAEConfig
from pythae.samplers import NormalSampler
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from lambda_vae.any_vae import diagnose
from lambda_vae.integrations.pythae import diagnose_pythae, equalize_pythae
from lambda_vae.likelihoods import gaussian
from package import Found

EPOCHS, RELEASE = 100, 33
DISTANCE = "Fréchet distance of samples"


class WarmUp(TrainingCallback):
    """The KL weight rises in a straight line over as many epochs as lambda would act."""

    def __init__(self, model: BetaVAE) -> None:
        self.model = model

    def on_epoch_begin(self, training_config: object, **event: Any) -> None:
        """Set it, as pythae calls this.

        Args:
            training_config: Not looked at.
            event: With the epoch, from 1.
        """
        self.model.beta = min(1.0, event["epoch"] / (EPOCHS - RELEASE))


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train on 1,197 digits; 300 choose a setting, 300 report.

    Args:
        seed: Of the weights, the batches and the draws.
        kind: Of the remedy.
        setting: reconstruction_loss, beta or delta.
    """
    x = torch.tensor(load_digits().data).float().view(-1, 1, 8, 8) / 16
    y = torch.tensor(load_digits().target)
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(x)))
    train, validation, test = order[:1197], order[1197:1497], order[1497:]
    loss, beta = setting.get("reconstruction_loss", "mse"), setting.get("beta", 1.0)
    model: Any
    if "beta" in setting or kind == "KL warm-up":
        model = BetaVAE(BetaVAEConfig(input_dim=(1, 8, 8), beta=beta))
    else:
        model = VAE(VAEConfig(input_dim=(1, 8, 8), reconstruction_loss=loss))
    if "delta" in setting:
        release = {"release_epochs": RELEASE, "total_epochs": EPOCHS} if kind == "lambda released" else {}
        equalize_pythae(model, setting["delta"], **release)
    callbacks = [WarmUp(model)] if kind == "KL warm-up" else None
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(output_dir=folder, num_epochs=EPOCHS, learning_rate=1e-3, seed=seed, no_cuda=True)
        parts = [BaseDataset(x[part], y[part]) for part in (train, validation)]
        BaseTrainer(model, *parts, config, callbacks=callbacks).train()
    model.eval()
    torch.manual_seed(seed)
    reports = {part: diagnose_pythae(model, x[rows]) for part, rows in (("v", validation), ("t", test))}
    bounds = {part: _bound(model, x[rows], loss, beta) for part, rows in (("v", validation), ("t", test))}
    measured = {part: _measured(model, x, y, train, rows) for part, rows in (("v", validation), ("t", test))}
    return Found(
        reports["t"],
        {**measured["v"], "bound": bounds["v"][0]},
        {**measured["t"], "bound": bounds["t"][0], "nll_iw": bounds["t"][1]},
        (model,),
    )


def _measured(model: Any, x: Tensor, y: Tensor, train: Tensor, rows: Tensor) -> dict[str, float]:
    """Samples, reconstructions and codes, as the package's authors compare its models."""
    with torch.no_grad():
        codes = [model.encoder(x[part]).embedding for part in (train, rows)]
        squared = (model.decoder(codes[1])["reconstruction"].reshape(len(rows), -1) - x[rows].flatten(1)) ** 2
        samples = NormalSampler(model).sample(num_samples=10_000).reshape(10_000, -1)
    classified = LogisticRegression(max_iter=1000).fit(codes[0].numpy(), y[train])
    return {
        DISTANCE: _frechet(samples, x[rows].flatten(1)),
        "reconstruction MSE": float(squared.mean()),
        "accuracy of codes": float(classified.score(codes[1].numpy(), y[rows])),
    }


def _frechet(one: Tensor, other: Tensor) -> float:
    means = [part.double().mean(0) for part in (one, other)]
    covariances = [torch.cov(part.double().T).numpy() for part in (one, other)]
    root = np.real(sqrtm(covariances[0] @ covariances[1]))
    return float((means[0] - means[1]).square().sum() + np.trace(covariances[0] + covariances[1] - 2 * root))


def _bound(model: Any, x: Tensor, loss: str, beta: float) -> tuple[float, float]:
    """At the noise sqrt(beta) that half a squared error beside beta times the KL stands for; none for bce of greys."""
    if loss == "bce":
        return float("nan"), float("nan")

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        q = model.encoder(x)
        return q.embedding, q.log_covariance

    def decode(z: Tensor) -> Tensor:
        return model.decoder(z)["reconstruction"]

    report = diagnose(
        encode, gaussian(decode, std=beta**0.5), x, equalizer=getattr(model, "equalizer", None), kl_weight=1.0
    )
    return report.nll_bound, report.nll_iw
