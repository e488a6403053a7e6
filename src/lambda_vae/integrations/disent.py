"""disent: its VAEs diagnosed, and equalized while Lightning trains them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lambda_vae.any_vae.external import LogLikelihood
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import cannot_be, loaded, report_on
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods import bernoulli, gaussian, laplace, std_of_kl_weight

if TYPE_CHECKING:
    from lambda_vae.integrations.lightning import EqualizeCallback

__all__ = ["diagnose_disent", "equalize_disent"]

#: Terms of a framework's loss besides likelihood and KL.
_OTHER_TERMS = {
    "Vae": "",
    "BetaVae": "",
    "InfoVae": "It also pulls all codes together toward the prior (MMD), which no cause here knows of.",
    "DipVae": "It also holds the covariance of the codes near the identity, which no cause here knows of.",
    "BetaTcVae": "It also adds (beta - 1) times the total correlation, a reward below 1; no cause here knows it.",
    "AdaVae": "It trains with the posteriors of two observations made one in part; here each is its own.",
}

#: Why these cannot be equalized, and what to use instead.
_NO_LAMBDA = {
    "BetaTcVae": "its total correlation is made of densities of q at the drawn z; use BetaVae or DipVae",
    "AdaVae": "it draws z of two observations in each step; use BetaVae",
}


def diagnose_disent(framework: Any, data: object, **options: Any) -> CollapseReport:
    """Return every measure of a VAE of disent on some data, and a verdict on each latent dimension with its cause.

    log p(x|z) is the likelihood in the framework's own loss. With `loss_reduction="mean"`, disent's default, that is
    a mean over the F features plus beta times a mean over the D latents, so that "mse" is a Gaussian of variance
    beta F / (2 D) and a KL of weight 1; with "mean_sum" the variance is beta / 2. "normal" is the same with twice
    the variance, "mae" a Laplace distribution, and "bce" or "bernoulli" a Bernoulli one and a KL of weight
    beta F / D, or beta.

    Args:
        framework: Vae, BetaVae, InfoVae, DipVae, BetaTcVae or AdaVae, in eval mode.
        data: A DisentDataset, a subset or a loader of one, or x as the model takes it [N, C, H, W].

    Raises:
        InputError: Another model, posterior, KL or reconstruction loss; images that are not tensors.

    Source:
        disent 0.9.3, frameworks/vae and frameworks/helper: `compute_ave_recon_loss`, `compute_ave_reg_loss`.
    """
    _check(framework, "diagnosed")
    weight = _kl_weight(framework)
    log_likelihood, kl_weight = _likelihood(framework, weight or 1.0)

    def encode(x: Tensor, seen: Tensor | None = None) -> object:
        return framework.encode_dists(x if seen is None else seen)[0]

    data = loaded(data, _targets, options.get("batch_size", 128))
    notes, kl_weight = _notes(framework, weight), kl_weight if weight else 0.0
    return report_on(encode, log_likelihood, data, options, kl_weight=kl_weight, notes=notes)


def equalize_disent(framework: Any, delta: float, **settings: Any) -> "EqualizeCallback":
    """Return the callback for Lightning's Trainer that narrows the noise of a framework in its training.

    `Trainer(callbacks=[equalize_disent(framework, 1.1)])`: disent draws z, which is then narrowed, the KL stays
    disent's to the last bit, lambda is refreshed at the end of each of Lightning's epochs, and its state goes into the
    callback's part of a checkpoint. disent counts steps, and lambda can do so too: `steps_per_epoch`.

    Args:
        framework: Vae, BetaVae, InfoVae or DipVae, whose KL is in closed form.

    Source:
        disent 0.9.3, frameworks/vae/_unsupervised__vae.py, `do_training_step`.
    """
    _check(framework, "equalized")
    from lambda_vae.integrations.lightning import EqualizeCallback  # disent has Lightning

    if type(framework).__name__ == "InfoVae":
        settings.setdefault("draw", 0)  # the second is of the prior
    return EqualizeCallback(framework._model.z_size, delta, at="rsample", kl_weight=_share, **settings)


def _targets(batch: Any) -> object:
    """The targets of a batch, with the inputs if they were augmented."""
    if not isinstance(batch, Mapping) or "x_targ" not in batch:
        raise InputError(
            f"the batches are {type(batch).__name__}, without the x_targ of disent's; give a DisentDataset, a loader "
            "of one, or x itself as one tensor"
        )
    targets = torch.cat(tuple(batch["x_targ"]))
    if not targets.is_floating_point():
        raise InputError(
            f"the images are {str(targets.dtype).removeprefix('torch.')}, as disent's data are without a transform; "
            "give DisentDataset(data, transform=ToImgTensorF32())"
        )
    return {"x": targets, "seen": torch.cat(tuple(batch["x"]))} if "x" in batch else targets


def _check(framework: Any, wanted: str) -> None:
    if type(framework) not in needed("disent", *(f"disent.frameworks.vae.{one}" for one in _OTHER_TERMS)):
        reason = f"what it changes of the draw and the loss is not known; use one of disent's {', '.join(_OTHER_TERMS)}"
        raise cannot_be(framework, wanted, f"{reason}, or lambda_vae.diagnose and lambda_vae.equalize themselves")
    cfg = framework.cfg
    if cfg.latent_distribution != "normal":
        raise InputError(f"latent_distribution is {cfg.latent_distribution!r}; use latent_distribution='normal'")
    modes = ("direct", "direct_reverse", *(("approx", "approx_reverse") if wanted == "diagnosed" else ()))
    if cfg.kl_loss_mode not in modes:
        raise InputError(
            f"kl_loss_mode is {cfg.kl_loss_mode!r}, which is not the KL to the prior in closed form; use "
            "kl_loss_mode='direct'"
        )
    if wanted == "equalized" and type(framework).__name__ in _NO_LAMBDA:
        raise cannot_be(framework, wanted, _NO_LAMBDA[type(framework).__name__])


def _kl_weight(framework: Any) -> float:
    """Weight of the framework's own reduction of the KL."""
    cfg, model = framework.cfg, framework._model
    if cfg.disable_reg_loss:
        return 0.0
    if hasattr(cfg, "info_alpha"):
        ratio = model.z_size / model.x_size if cfg.maintain_reg_ratio else 1.0
        return float(ratio * (1.0 - cfg.info_alpha))
    return float(getattr(cfg, "beta", 1.0))


def _share(framework: Any) -> float:
    """Weight of an example's KL summed over the latents."""
    weight = _kl_weight(framework)
    return weight / framework._model.z_size if framework.cfg.loss_reduction == "mean" else weight


def _likelihood(framework: Any, weight: float) -> tuple[LogLikelihood, float]:
    """Log p(x|z), and the remaining weight of the KL."""
    cfg, model = framework.cfg, framework._model
    mean = cfg.loss_reduction == "mean"
    share, features = (weight / model.z_size, int(model.x_size)) if mean else (weight, None)
    decode, kind = framework.decode_partial, "none" if cfg.disable_rec_loss else cfg.recon_loss
    if kind in ("mse", "normal"):
        return gaussian(
            decode, std=std_of_kl_weight(share, features, "mean" if mean else "sum", half=kind == "normal")
        ), 1.0
    if kind == "mae":
        return laplace(decode, scale=share * (features or 1)), 1.0
    if kind in ("bce", "bernoulli"):
        return bernoulli(decode, logits=True), share * (features or 1)
    raise InputError(f"recon_loss is {kind!r}, which is no likelihood of x; use recon_loss='mse' or 'bce'")


def _notes(framework: Any, weight: float) -> tuple[str, ...]:
    notes = [_OTHER_TERMS[type(framework).__name__]]
    if not weight:
        notes.append(
            "The loss has no KL: an autoencoder that draws noise. The likelihood's noise is that of a weight of 1."
        )
    if framework.has_schedule("beta"):
        notes.append(f"beta is scheduled, and its last value, {weight:.3g}, is what all is judged by.")
    return tuple(filter(None, notes))
