"""pyod: its VAE for outliers diagnosed on the data that it standardises, and equalized within its own `fit`."""

import math
import warnings
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lambda_vae.any_vae.modes import evaluated
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing import HostEqualizer, equalize_fit
from lambda_vae.equalizing.targets import unwrapped
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import report_on, require_unchanged
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods import gaussian, std_of_kl_weight

__all__ = ["diagnose_pyod", "equalize_pyod"]

#: The arguments that switch the KL on.
_ON = "VAE(capacity=float('inf'), beta=...)"


def diagnose_pyod(model: Any, x: Any, *, std: float | None = None, **options: Any) -> CollapseReport:
    """Return every measure of a pyod VAE on some data, and a verdict on each latent dimension with its cause.

    pyod's loss is the squared error averaged over the F features that it has standardised, plus beta times a KL that is
    clamped to [0, capacity]. With the KL in full that is a Gaussian likelihood of variance beta F / 2, for features of
    variance 1. Above its capacity, and so always at the default of 0, the KL has no gradient: it is off, the loss
    implies no noise, and log p(x|z) has the noise that fits the training data. The report says so.

    Args:
        model: pyod.models.vae.VAE, fitted.
        x: [N, F], in the units that `fit` was given.
        std: Noise of the likelihood instead, in standard deviations of the features where the model standardises.

    Raises:
        InputError: Another model, one that is not fitted, data of another width, or of a feature that was constant in
            the training; what `diagnose` refuses.

    Source:
        pyod 3.6.7, models/vae.py, `vae_loss`; models/base_dl.py, `fit`.
    """
    _require_vae(model)
    if not hasattr(model, "decision_scores_"):
        raise InputError("the model is not fitted; call model.fit(x) before diagnose_pyod(model, x)")
    module: Any = unwrapped(model.model)
    scaled = _as_trained(model, x)

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = module.encode(x)
        return mu, logvar if module.logvar_clip is None else logvar.clamp(*module.logvar_clip)

    with evaluated(encode):
        with torch.no_grad():
            mu, logvar = encode(scaled.to(next(module.parameters()).device))
        kl = float(0.5 * (mu**2 + logvar.exp() - logvar - 1.0).sum(1).mean())
        on = float(model.beta) > 0.0 and kl < _capacity(model)
        features = int(model.feature_size)
        if on:
            own = std_of_kl_weight(float(model.beta), features, "mean")
        else:  # root mean square of the decoder's errors on the training data, from pyod's scores of them
            own = max(math.sqrt(float((model.decision_scores_**2).mean()) / features), 1e-6)
        likelihood = gaussian(module.decode, std=own if std is None else std)
        # with the noise std, the loss is this likelihood plus another weight of the KL
        weight = 0.0 if not on else 1.0 if std is None else (own / std) ** 2
        notes = [_note(model, kl, own, on, std)]
        return report_on(encode, likelihood, scaled, options, kl_weight=weight, notes=notes)


def equalize_pyod(model: Any, delta: float, **settings: Any) -> AbstractContextManager[HostEqualizer]:
    """Return the context within which `model.fit(x)` narrows the noise of the VAE that it makes and trains.

    Steps and epochs are those of pyod's `fit`. The KL stays pyod's own, scores are drawn with the encoder's own sigma,
    and after the block the model is an ordinary one of pyod that saves and loads without lambda-vae.

    Args:
        model: pyod.models.vae.VAE, not yet fitted or to be fitted again.

    Raises:
        InputError: Another model; data on which pyod would train no step.

    Source:
        pyod 3.6.7, models/vae.py, `VAEModel.reparameterize`; models/base_dl.py, `fit`.
    """
    _require_vae(model)
    (network,) = needed("pyod", "pyod.models.vae.VAEModel")
    if not (_capacity(model) > 0.0 and float(model.beta) > 0.0) and math.isfinite(delta):
        warnings.warn(
            f"capacity is {model.capacity} and beta is {model.beta}, with which pyod's VAE has no KL: no dimension is "
            f"pushed to the prior, and lambda lessens the noise of the beginning alone; {_ON} switches it on",
            stacklevel=2,
        )
    if settings.get("release_epochs") or settings.get("settle_epochs"):
        settings.setdefault("total_epochs", int(model.epoch_num))

    def steps(*given: Any, **named: Any) -> int:
        x = named["X"] if "X" in named else given[0]
        found = len(x) // int(model.batch_size)  # a last batch that is not full is dropped
        if found == 0:
            raise InputError(
                f"x has {len(x)} rows, of which pyod trains on whole batches of {model.batch_size} alone; "
                f"give VAE(batch_size={max(1, len(x))}) or less"
            )
        return found

    return equalize_fit(model, steps, network, int(model.latent_dim), delta, **settings)


def _capacity(model: Any) -> float:
    """Upper limit of the model's clamp of the KL; None is none."""
    return math.inf if model.capacity is None else float(model.capacity)


def _require_vae(model: Any) -> None:
    (kind,) = needed("pyod", "pyod.models.vae.VAE")
    if not isinstance(model, kind):
        raise InputError(f"the model is a {type(model).__name__}; give pyod.models.vae.VAE")
    methods, own_loss = ("build_model", "training_forward"), model.criterion.__module__ == kind.__module__
    remedy = "lambda_vae.diagnose and lambda_vae.equalizing.equalize_class"
    require_unchanged(model, kind, "pyod's VAE", methods, remedy, criterion=own_loss)
    if not float(model.beta) >= 0.0:
        raise InputError(f"beta is {model.beta}, by which the loss rewards the KL; give VAE(beta=...) of at least 0")


def _as_trained(model: Any, x: Any) -> Tensor:
    (dataset,) = needed("pyod", "pyod.utils.torch_utility.TorchDataset")
    x = x.detach().cpu().numpy() if isinstance(x, Tensor) else x
    shape = tuple(getattr(x, "shape", ()))
    if len(shape) != 2 or shape[1] != model.feature_size:
        raise InputError(
            f"x is a {type(x).__name__} of shape {list(shape)}; give an array [N, {model.feature_size}], as fit had it"
        )
    try:
        x = np.asarray(x.toarray() if hasattr(x, "toarray") else x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"x is no array of numbers ({error}); give the numbers that `fit` had") from error
    scale = {"mean": model.X_mean, "std": model.X_std} if model.preprocessing else {}
    if scale:
        near = 1e-10 * (1.0 + abs(model.X_mean))  # a constant's own standard deviation is rounding
        moved = (model.X_std < near) & (abs(x - model.X_mean) > near).any(0)
        if moved.any():
            raise InputError(
                f"feature {int(moved.argmax())} was constant in the training data and is not in x, and pyod divides it "
                "by 1e-8, so that it decides every score and bound; fit without the features that are constant"
            )
    return dataset(x, **scale)[slice(None)]


def _note(model: Any, kl: float, own: float, on: bool, told: float | None) -> str:
    units = "standard deviations of the features" if model.preprocessing else "units of x"
    if on:
        return (
            f"pyod's loss is a mean over {model.feature_size} features plus {float(model.beta):g} KL, and so assumes a "
            f"noise of {own:.3g} {units}; beta = 2 s^2 / {model.feature_size} makes it s."
            + ("" if told is None else f" Likelihoods here are at {told:g}, as std= says.")
        )
    off = "beta is 0" if float(model.beta) == 0.0 else f"it is clamped to a capacity of {_capacity(model):g}"
    fits = "which fits the training data, as the loss names none" if told is None else "as std= says"
    return (
        f"The KL is off: {off} and has no gradient at the {kl:.3g} nats that it is here. No dimension can collapse for "
        f"it, nor need codes fit N(0, I); {_ON} switches it on. Likelihoods here are at a noise of "
        f"{own if told is None else told:.3g} {units}, {fits}."
    )
