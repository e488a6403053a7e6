"""recbole: MultiVAE diagnosed, and equalized while recbole's own trainer trains it."""

from collections.abc import Callable
from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_vae.any_vae.modes import evaluated
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing import HostEqualizer, equalize
from lambda_vae.equalizing.draws import MethodHook
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import Batches, cannot_be, report_on
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods import multinomial

__all__ = ["diagnose_recbole", "equalize_recbole"]

#: The line that gives MultiVAE the noise of its paper and of its KL.
_LINE = (
    "model.reparameterize = lambda mu, logvar: mu + torch.exp(0.5 * logvar) * torch.randn_like(mu) if model.training "
    "else mu"
)


def diagnose_recbole(model: Any, data: Any = None, **options: Any) -> CollapseReport:
    """Return every measure of a MultiVAE on some users' rows, and a verdict on each latent dimension with its cause.

    log p(x|z) is the multinomial of its softmax, with the coefficient that recbole's loss leaves out. sigma is that of
    the KL in the loss. recbole draws z with 0.01 sigma: the noise is measured, and if it is not that of sigma, the
    report's first note gives the KL and the bound of the distribution that is drawn from. Causes are derived from the
    KL weight that the training ended with: min(anneal_cap, steps / total_anneal_steps).

    Args:
        model: Trained.
        data: Rows [users, items] by the model's item numbers, a tensor, an array or a sparse matrix; by default the
            histories that the model was trained on.

    Source:
        recbole 1.2.1, model/general_recommender/multivae.py, `reparameterize`, `forward` and `calculate_loss`.
    """
    _require_multivae(model, "diagnosed")
    rows = _rows(model, data, int(options.get("batch_size", 500)))

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = model.encoder(F.normalize(x)).chunk(2, dim=1)
        return mu, logvar

    weight, known = _kl_weight(model)
    with evaluated(encode):
        likelihood = multinomial(model.decoder, logits=True)
        report = report_on(encode, likelihood, rows, options, model=model, kl_weight=weight)
        return replace(report, notes=(*_noise_note(model, encode, rows), known, *report.notes))


def equalize_recbole(trainer: Any, delta: float, **settings: Any) -> HostEqualizer:
    """Return the equalizer that narrows the noise of a trainer's MultiVAE in its trainings from now on.

    The trainer refreshes lambda after each epoch, and its checkpoints hold no state of the equalizer. A release ends
    with the trainer's `epochs`: set `stopping_step` so that it does not stop earlier.

    Args:
        trainer: recbole's, with a MultiVAE that draws with the sigma it charges.

    Raises:
        InputError: No trainer of a MultiVAE, or one that draws with recbole's noise of 0.01 sigma.

    Source:
        recbole 1.2.1, trainer/trainer.py, `Trainer._train_epoch`.
    """
    if not callable(getattr(trainer, "_train_epoch", None)):
        raise InputError(
            f"equalize_recbole was given a {type(trainer).__name__}, which knows no epochs; give it the trainer: "
            "equalize_recbole(Trainer(config, model), delta)"
        )
    model = trainer.model
    _require_multivae(model, "equalized")
    noise = _noise(model)
    if abs(noise - 1.0) > 0.05:
        raise InputError(
            f"MultiVAE draws with {noise:.2g} sigma and charges sigma, so that there is no noise for lambda to narrow; "
            f"give it the noise of its KL first: {_LINE}"
        )
    settings = {"total_epochs": int(trainer.epochs)} | settings
    width = int(model.lat_dim / 2)
    equalizer = equalize(model, width, delta, method="reparameterize", takes="logvar", **settings)
    equalizer.end_epochs_with(trainer, "_train_epoch")
    return equalizer


def _rows(model: Any, data: Any, size: int) -> Batches:
    """Batches of users' rows as the model takes them, without users who have no item."""
    shape: tuple[int, ...] = tuple(getattr(data, "shape", ()))
    if data is not None and (len(shape) != 2 or shape[1] != model.n_items):
        raise InputError(
            f"data are {type(data).__name__} of shape {shape}; they must be rows [users, {model.n_items}] by the "
            "model's item numbers, of which 0 is padding"
        )
    device = next(model.parameters()).device
    first, users = (1, model.n_users) if data is None else (0, shape[0])  # number 0 is padding, of users as of items

    def rows(start: int) -> Tensor:
        stop = min(start + size, users)
        if data is None:
            found = model.get_rating_matrix(torch.arange(start, stop, device=device))
        else:
            some = data[start:stop].toarray() if hasattr(data, "toarray") else data[start:stop]
            found = torch.as_tensor(np.asarray(some) if not isinstance(some, Tensor) else some).float().to(device)
        return found[found.sum(1) > 0]

    return Batches(range(first, users, size), rows)


def _require_multivae(model: Any, wanted: str) -> None:
    (multivae,) = needed("recbole", "recbole.model.general_recommender.MultiVAE")
    if not isinstance(model, multivae):
        raise cannot_be(
            model,
            wanted,
            "it is not recbole's MultiVAE, whose Gaussian code and KL to N(0, I) are known; if yours has both, use "
            "diagnose(encode, log_likelihood, data) and equalize(model, ...)",
        )


def _noise(model: Any) -> float:
    """The std of the model's draws where sigma is 1."""
    zeros = torch.zeros(4096, int(model.lat_dim / 2), device=next(model.parameters()).device)
    draw = vars(model).get("reparameterize", model.reparameterize)
    while isinstance(draw, MethodHook):  # the package's own draw, without lambda
        draw = draw.host
    training, model.training = model.training, True
    try:
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            return float(draw(zeros, zeros).std())
    finally:
        model.training = training


def _kl_weight(model: Any) -> tuple[float | None, str]:
    cap, steps, total = float(model.anneal_cap), int(model.update), int(model.total_anneal_steps)
    if total <= 0:
        return cap, f"The KL weight is anneal_cap, {cap:g}; every bound here counts the KL in full."
    if not steps:
        return None, (
            "The model has taken no training step since it was made, and a checkpoint does not hold their number: its "
            "KL weight is not known, causes are judged at 1; say kl_weight= if you know it."
        )
    weight = min(cap, steps / total)
    return weight, (
        f"The KL weight was {weight:.2g} when the training ended, by which causes are judged: min(anneal_cap {cap:g}, "
        f"{steps:,} steps / total_anneal_steps {total:,}); every bound here counts the KL in full."
    )


@torch.no_grad()
def _noise_note(model: Any, encode: Callable[[Tensor], tuple[Tensor, Tensor]], rows: Batches) -> tuple[str, ...]:
    """KL and bound of the distribution that is drawn from, where its noise is not that of the KL in the loss."""
    noise = _noise(model)
    if abs(noise - 1.0) <= 0.05:
        return ()
    likelihood, charged, drawn, nll, users = multinomial(model.decoder, logits=True), 0.0, 0.0, 0.0, 0
    generator = torch.Generator(next(model.parameters()).device).manual_seed(0)
    for x in rows:
        mu, logvar = encode(x)
        var = logvar.exp()
        own, true = mu**2 + var - logvar - 1.0, mu**2 + noise**2 * var - logvar - 2.0 * log(noise) - 1.0
        z = mu + noise * var.sqrt() * torch.randn(mu.shape, generator=generator, device=mu.device)
        charged, drawn = charged + 0.5 * float(own.sum()), drawn + 0.5 * float(true.sum())
        nll, users = nll - float(likelihood(x, z).sum()), users + len(x)
    return (
        f"MultiVAE draws z with {noise:.2g} sigma and charges sigma: what it draws costs {drawn / users:.1f} nats of "
        f"KL an example where {charged / users:.1f} are charged, and its bound is {(nll + drawn) / users:.1f}. All "
        f"else here is that of sigma, which the decoder was not trained with; for the noise of the KL: {_LINE}",
    )
