"""pythae: its models diagnosed and equalized, and monitored while its own trainers train them."""

import copy
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from lambda_vae.any_vae.monitor import CollapseMonitor
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing import HostEqualizer, equalize
from lambda_vae.equalizing.targets import unwrapped
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import Watch, cannot_be, loaded, report_on, watched
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods import bernoulli, gaussian

needed("pythae", "pythae.models.VAE", "pythae.trainers.training_callbacks.TrainingCallback")  # raises if one is missing

from pythae import models  # noqa: E402
from pythae.data.datasets import collate_dataset_output  # noqa: E402
from pythae.trainers.training_callbacks import TrainingCallback  # noqa: E402

__all__ = ["CollapseCallback", "diagnose_pythae", "equalize_pythae"]

#: The models with a KL in closed form, and what their loss multiplies it by.
_KL_WEIGHT: dict[type, Callable[[Any], float]] = {
    models.VAE: lambda model: 1.0,
    models.BetaVAE: lambda model: float(model.beta),
    models.DisentangledBetaVAE: lambda model: float(model.beta),
    models.INFOVAE_MMD: lambda model: 1.0 - float(model.alpha),
    models.FactorVAE: lambda model: 1.0,
    models.MSSSIM_VAE: lambda model: float(model.beta),
    models.VAEGAN: lambda model: 1.0,
}

#: Trained on densities of q at the sample, with a Gaussian q and the prior N(0, I): diagnosed, not equalized.
_SAMPLED = (models.BetaTCVAE, models.IWAE, models.MIWAE, models.CIWAE, models.PIWAE)

#: The reason, and what to use instead.
_REFUSED: dict[type, tuple[str, str]] = {
    models.BetaTCVAE: ("its loss is made of densities of q at the drawn z", "models.BetaVAE or models.FactorVAE"),
    models.VAMP: ("its KL to a learned prior is an estimate from samples", "models.VAE"),
    models.WAE_MMD: ("its encoder gives a point and no posterior", "models.INFOVAE_MMD"),
    models.Adversarial_AE: ("it has no KL, and matches z itself to the prior", "models.INFOVAE_MMD"),
    models.SVAE: ("its posterior lies on a sphere", "models.VAE"),
    models.PoincareVAE: ("its posterior lies in a hyperbolic space", "models.VAE"),
    **dict.fromkeys(
        (models.IWAE, models.MIWAE, models.CIWAE, models.PIWAE),
        ("its importance weights are made of the density of q at the drawn z", "models.VAE"),
    ),
    **dict.fromkeys(
        (models.VAE_IAF, models.VAE_LinNF),
        ("a flow follows the Gaussian draw, and its KL is an estimate from samples", "models.VAE"),
    ),
    **dict.fromkeys(
        (models.HVAE, models.RHVAE),
        ("Hamiltonian steps follow the Gaussian draw, and its loss is made of densities", "models.VAE"),
    ),
    **dict.fromkeys(
        (models.AE, models.RAE_GP, models.RAE_L2, models.VQVAE),
        ("its encoder gives a point and no posterior", "models.VAE"),
    ),
}

#: Models whose reconstruction loss is no likelihood of x.
_NO_LIKELIHOOD = {models.MSSSIM_VAE: "a structural similarity", models.VAEGAN: "a discriminator's features"}


def diagnose_pythae(model: Any, data: object, **options: Any) -> CollapseReport:
    """Return every measure of a pythae model on some data, and a verdict on each latent dimension with its cause.

    log p(x|z) is that of the model's own reconstruction loss: "bce", independent Bernoulli features with the decoder's
    output as probabilities; "mse", half a summed squared error and so a Gaussian of variance 1, whose constant
    F/2 ln 2 pi (which the loss leaves out, and `get_nll` does not) is counted. MSSSIM_VAE and VAEGAN are trained on
    neither; they are measured with the likelihood of their `reconstruction_loss`, as by their `get_nll`, and the report
    says so. An equalized model is measured with the noise it was trained with; `equalizer=None` measures sigma. Causes
    are derived from the KL weight in the model's config, if there is one and no history is given.

    Args:
        model: In eval mode, with a Gaussian q and the prior N(0, I).
        data: x [N, ...] as the model takes it, a pythae dataset, or a loader of one.

    Source:
        pythae 0.1.2, models/vae/vae_model.py, `loss_function` and `get_nll`.
    """
    if type(model) not in (*_KL_WEIGHT, *_SAMPLED):
        raise _refusal(model, "diagnosed", "diagnose(encode, log_likelihood, data)")

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        q = model.encoder(x)
        return q.embedding, q.log_covariance

    def decode(z: Tensor) -> Tensor:
        return model.decoder(z)["reconstruction"]

    log_likelihood = bernoulli(decode) if model.model_config.reconstruction_loss == "bce" else gaussian(decode, std=1.0)
    data = loaded(
        data,
        lambda batch: batch["data"] if isinstance(batch, Mapping) else batch,
        options.get("batch_size", 500),
        collate_fn=collate_dataset_output,
    )
    notes = [
        f"{type(model).__name__} is trained on {what}, which is no likelihood; every likelihood and cause here is that "
        "of its reconstruction_loss, as in its get_nll."
        for kind, what in _NO_LIKELIHOOD.items()
        if type(model) is kind
    ]
    weight = _weight_in_loss(model)
    return report_on(encode, log_likelihood, data, options, model=model, kl_weight=weight, notes=notes)


def equalize_pythae(model: Any, delta: float, **settings: Any) -> HostEqualizer:
    """Return the equalizer that narrows the noise of a pythae model in its trainings from now on.

    Every trainer of pythae calls the model's `update()` after each training epoch, and there lambda is refreshed. The
    KL stays the model's own, `get_nll` always draws from q itself, and eval mode is unchanged. The model saves and
    loads as if it had no equalizer, so that `load_from_folder` gives an ordinary pythae model; the equalizer's own
    state is `equalizer.state_dict()`, and `equalizer.remove()` restores the model. Give the trainer an eval dataset:
    without one it keeps the epoch with the lowest training loss, which under lambda is the surrogate.

    Args:
        model: VAE, BetaVAE, DisentangledBetaVAE, INFOVAE_MMD, FactorVAE, MSSSIM_VAE or VAEGAN.

    Source:
        pythae 0.1.2, `_sample_gauss` of these models, and `train_step` of its four trainers.
    """
    if type(model) not in _KL_WEIGHT:
        raise _refusal(model, "equalized", "equalize(model, latent_dim, delta)")
    equalizer = equalize(model, int(model.latent_dim), delta, method="_sample_gauss", takes="std", **settings)
    if not equalizer.apart:
        equalizer.end_epochs_with(model, "update")
        equalizer.replace(model, "get_nll", partial(_exact, model.get_nll, equalizer))
    return equalizer


class CollapseCallback(Watch, TrainingCallback):  # type: ignore[misc]  # pythae has no types
    """Monitors a training by pythae: warns of collapsing dimensions, and adds its measures to pythae's logs.

    Put it before the trackers among a trainer's callbacks: what `on_log` adds ("train_latent/active_units", ...) they
    write as "train/latent/...". Warnings go to the trainer's logger. Only the gradient that comes back through the
    decoder is read, no number of the training is changed, and nothing is drawn.

    Args:
        settings: Of `CollapseMonitor`, such as every, horizon or thresholds.
    """

    def on_train_begin(self, training_config: object, **event: Any) -> None:
        """Start a new monitor."""
        model: Any = unwrapped(event["model"])
        if type(model) is models.VAEGAN:
            raise InputError(
                "VAEGAN cannot be watched: two of its losses come back through the decoder in each step; leave "
                "CollapseCallback out and use diagnose_pythae after the training"
            )
        if type(model) not in _KL_WEIGHT:
            raise _refusal(model, "watched", "CollapseMonitor(latent_dim, reduction='mean')")
        device = next(model.parameters()).device
        self.monitor = CollapseMonitor(int(model.latent_dim), reduction="mean", device=device, **self.settings)
        model.forward = _Watched(_plain(model.forward), model, self.monitor)

    def on_log(self, training_config: object, logs: dict[str, float], **event: Any) -> None:
        """End the epoch: add the measures to `logs`, and the warnings to the trainer's logger."""
        assert self.monitor is not None
        found = self.monitor.end_epoch(_kl_weight(unwrapped(event["model"]), self.monitor, event["global_step"]))
        logs.update(self.monitor.metrics("train_latent/"))
        if event.get("rank", -1) in (-1, 0):
            for warning in found:
                (event.get("logger") or logging.getLogger(__name__)).warning(str(warning))

    def on_train_end(self, training_config: object, **event: Any) -> None:
        """Restore the model's forward."""
        model: Any = unwrapped(event["model"])
        model.forward = _plain(model.forward)


def _exact(get_nll: Callable[..., float], equalizer: HostEqualizer, *given: Any, **named: Any) -> float:
    """Call `get_nll` without lambda, in train mode too: its importance weights are those of q."""
    training, equalizer.training = equalizer.training, False
    try:
        return get_nll(*given, **named)
    finally:
        equalizer.training = training


@dataclass(eq=False)
class _Watched:
    """The model's forward with its decoder's input monitored, where the gradient of other losses is left out.

    The hooks exist within the call alone, since the trainer may copy or pickle the decoder between two steps.
    """

    host: Callable[..., Any]
    model: Any
    monitor: CollapseMonitor

    def __call__(self, *given: Any, **named: Any) -> Any:
        if not self.model.training:
            return self.host(*given, **named)
        posteriors: list[Any] = []  # FactorVAE encodes once more after it has decoded
        hooks = (
            self.model.encoder.register_forward_hook(lambda encoder, x, q: posteriors.append(q)),
            self.model.decoder.register_forward_pre_hook(
                lambda decoder, z: watched(
                    self.monitor, self.model, posteriors[-1].embedding, posteriors[-1].log_covariance, *z
                )
            ),
        )
        try:
            return self.host(*given, **named)
        finally:
            for hook in hooks:
                hook.remove()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Leave the monitor out: the trainer copies its best model, which is not trained further."""
        return copy.deepcopy(self.host, memo)


def _refusal(model: object, wanted: str, otherwise: str) -> InputError:
    if type(model) in _REFUSED:
        reason, instead = _REFUSED[type(model)]
        return cannot_be(model, wanted, f"{reason}; use pythae's {instead} instead")
    known = ", ".join(kind.__name__ for kind in _KL_WEIGHT)
    reason = f"it is none of pythae's models whose KL is known to be in closed form, which are {known}"
    return cannot_be(model, wanted, f"{reason}; if yours is, use lambda_vae.{otherwise}")


def _kl_weight(model: Any, monitor: CollapseMonitor, epoch: int) -> float:
    """Weight of the KL in this epoch; 0 where |KL - C| raises the KL, by that of the epoch before."""
    weight = _KL_WEIGHT[type(model)](model)
    if type(model) is not models.DisentangledBetaVAE:
        return weight
    kl = float(monitor.readings[-1].kl.sum()) if monitor.readings else 0.0
    return weight if kl > model.C * min(epoch / (model.warmup_epoch + 1), 1.0) else 0.0


def _weight_in_loss(model: Any) -> float | None:
    """Weight of the KL against the likelihood; None where there is no single one."""
    kind = type(model)
    if kind is models.BetaTCVAE:  # alpha, beta and gamma weigh three parts of the KL
        parts = {float(model.alpha), float(model.beta), float(model.gamma)}
        return parts.pop() if len(parts) == 1 else None
    if kind in _NO_LIKELIHOOD or kind is models.DisentangledBetaVAE:
        return None
    return _KL_WEIGHT[kind](model) if kind in _KL_WEIGHT else None


def _plain(forward: Any) -> Any:
    return forward.host if isinstance(forward, _Watched) else forward
