"""Diagnose anybody's VAE: two callables and some data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent

from lambda_vae.any_vae.batches import ExternalBatches
from lambda_vae.any_vae.behind import device_of
from lambda_vae.any_vae.conditions import first_parameter
from lambda_vae.any_vae.external import Encode, ExternalVAE, LogLikelihood
from lambda_vae.any_vae.failures import explained
from lambda_vae.any_vae.host import Host, brought_together
from lambda_vae.any_vae.latents import Axis, Latents
from lambda_vae.any_vae.monitor import CollapseMonitor
from lambda_vae.any_vae.priors import Prior, UnderPrior, check_prior
from lambda_vae.any_vae.validation import validated
from lambda_vae.deprecated import old_lambda
from lambda_vae.diagnostics import CollapseReport, Thresholds, compute_report
from lambda_vae.diagnostics import diagnose as diagnose_own
from lambda_vae.diagnostics.progress import shown
from lambda_vae.diagnostics.unseen import bound_on
from lambda_vae.distributions import DiagGaussian
from lambda_vae.equalization import Equalization, VarianceEqualizer
from lambda_vae.equalizing.equalized_normal import EqualizedNormal
from lambda_vae.errors import InputError
from lambda_vae.estimation.batching import Data
from lambda_vae.estimation.budget import Memory
from lambda_vae.estimation.examples import Examples, conditioned
from lambda_vae.estimation.shares import Shares
from lambda_vae.model import VAE

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["diagnose"]


@overload
def diagnose(vae: VAE, test_x: Data, **options: Any) -> CollapseReport: ...  # noqa: ANN401 - of the other one


@overload
def diagnose(encode: Encode, data: object, /, **options: Any) -> CollapseReport: ...  # noqa: ANN401 - of the next one


@overload
def diagnose(
    encode: Encode,
    log_likelihood: LogLikelihood | None,
    data: object,
    *,
    dim: Axis = "channel",
    takes: str | None = None,
    prior: Prior | None = None,
    draws: int = 1,
    exponent: Float[Tensor, " D"] | None = None,
    equalizer: VarianceEqualizer | None = None,
    delta: float | None = None,
    iw_samples: int | None = None,
    memory: Memory | None = None,
    batch_size: int = 500,
    x_key: str | None = None,
    train_data: object = None,
    generator: torch.Generator | None = None,
    kl_weight: float | None = None,
    history: Mapping[str, Any] | CollapseMonitor | None = None,
    thresholds: Thresholds | None = None,
    progress: bool = False,
    process_group: "ProcessGroup | None" = None,
) -> CollapseReport: ...


@old_lambda()
def diagnose(*given: Any, **options: Any) -> CollapseReport:
    """Return every measure of a VAE on some data, and a verdict on each latent dimension with its cause.

    A VAE of this project is measured by `lambda_vae.diagnostics._diagnose`, given as `diagnose(vae, test_x)`; any other
    by two callables, `diagnose(encode, log_likelihood, data)`. Memory does not grow with the data; torch's global
    generator and the model are left as they were.

    Args:
        given: A `VAE` and its data. Or encode: x -> (mu, logvar), each [B, D], [B, T, D] or [B, C, H, W], or a
            Gaussian of torch.distributions; log_likelihood: (x, z) -> log p(x|z) in nats, summed over the features, one
            value an example, or None, or left out; and data: a tensor [N, ...], or batches
            that can be gone through again (DataLoader, list), each an x, a tuple whose first item is x, or a dict.
            Callables that take more, encode(x, c) and log_likelihood(x, z, c), get it from the rest of the batch: of a
            tuple in its order, of a dict by name.
        options: Those of `lambda_vae.diagnostics._diagnose`; with two callables: `dim`, what a dimension is ("channel":
            the last axis of [B, D] and [B, T, D], the first of maps; "site": every number; or an axis);
            `takes`, what encode's second tensor is ("logvar", "std", "log_std", "var", "softplus"; by default "logvar",
            and refused where it cannot be); `prior`, a torch distribution of z, or a callable of x and its conditions
            that returns one (by default N(0, I)); `draws`, calls to average of a log_likelihood that draws; `exponent`,
            lambda of each dimension, or the `equalizer` itself; `delta`; `iw_samples`, importance samples (by default
            the two draws that all else is measured with; 0 for none); `memory` that the work may take, such as
            "1 GiB"; `progress`, whether to show a bar; `batch_size` of a tensor;
            `x_key`, the name of x in batches that are dicts (encode's own name for it, "x" or "data");
            `train_data`, for the bound on what the model was trained on; `generator`; `kl_weight` of the training's
            loss; `history` of the training, such as a `CollapseMonitor`; `thresholds`; `process_group`, whose processes
            divide the examples. Without a likelihood, `diagnose(encode, data)`.

    Raises:
        InputError: Whatever would make the report wrong, in one sentence with the line to change.

    Example:
        >>> from lambda_vae.likelihoods import gaussian
        >>> x = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
        >>> encode = lambda x: (x[:, :2] / 2, torch.full((len(x), 2), 0.5).log())
        >>> decode = lambda z: torch.nn.functional.pad(z, (0, 1))
        >>> report = diagnose(encode, gaussian(decode, std=1.0), x)
        >>> report.active_units, len(report.kl)
        (2, 2)
    """
    if "vae" in options or (given and isinstance(given[0], VAE)):
        return replace(diagnose_own(*given, **options), write_page=_write_page)
    if len(given) == 2 and "log_likelihood" not in options and "data" not in options and not callable(given[1]):
        given = (given[0], None, given[1])
    if "log_likelihood" not in options and len(given) < 2 and "data" in options:
        options["log_likelihood"] = None
    try:
        signature(_diagnose_external).bind(*given, **options)
    except TypeError as error:
        ways = "diagnose(vae, test_x) or diagnose(encode, log_likelihood, data)"
        raise TypeError(f"diagnose() {error}; it takes {ways}") from None
    return replace(_diagnose_external(*given, **options), write_page=_write_page)


def _write_page(measured: Mapping[str, Any], path: Path) -> Path:
    # Loading the plots takes longer than all else here, and whoever only prints need not wait for them.
    from lambda_vae.reports.page import write_page

    return write_page(measured, path)


def _diagnose_external(
    encode: Any,  # noqa: ANN401 - what it is, is looked at
    log_likelihood: Any,  # noqa: ANN401
    data: object,
    *,
    dim: Axis = "channel",
    takes: str | None = None,
    prior: Any = None,  # noqa: ANN401 - what it is, is looked at
    draws: int = 1,
    exponent: Float[Tensor, " D"] | Sequence[float] | None = None,
    equalizer: VarianceEqualizer | None = None,
    delta: float | None = None,
    iw_samples: int | None = None,
    memory: Memory | None = None,
    batch_size: int = 500,
    x_key: str | None = None,
    train_data: object = None,
    generator: torch.Generator | None = None,
    kl_weight: float | None = None,
    history: Mapping[str, Any] | CollapseMonitor | None = None,
    thresholds: Thresholds | None = None,
    progress: bool = False,
    process_group: "ProcessGroup | None" = None,
) -> CollapseReport:
    with torch.random.fork_rng(), Shares(process_group) as shares, shown(progress and shares.rank == 0, data) as tick:
        _check_given(encode, log_likelihood, data, draws, prior)
        batches = _opened(encode, log_likelihood, data, batch_size, x_key)  # loaders draw a seed whenever they begin
        conditional = None if isinstance(prior, Distribution) else prior
        host = brought_together(encode, log_likelihood or _absent, batches, conditional)
        known, plain = log_likelihood and host.log_likelihood, exponent is None and equalizer is None
        vae = _first_look(host, known, dim, takes=takes, draws=draws, prior=prior is None, plain=plain)
        vae = _equalized(vae, exponent, equalizer, delta)
        measured, limits = _under(vae, host.prior or prior, thresholds)
        report = compute_report(
            measured,
            host.batches,
            generator or torch.Generator(vae.device).manual_seed(0),
            iw_samples=iw_samples if log_likelihood is not None else 0,
            memory=memory,
            progress=tick,
            kl_weight=kl_weight,
            history=history.history if isinstance(history, CollapseMonitor) else history,
            thresholds=limits,
            shares=shares,
            **vae.nature,
        )
        if train_data is not None and log_likelihood is not None:
            train = brought_together(encode, log_likelihood, replace(batches, data=train_data, parts=()), conditional)
            report = report.beside_training(bound_on(measured, train.batches))
    return _noted(report, (*host.notes, *_notes(vae, measured, report, equalizer)), vae)


def _opened(
    encode: Encode, log_likelihood: LogLikelihood | None, data: object, batch_size: int, x_key: str | None
) -> ExternalBatches:
    names = (x_key,) if x_key is not None else (first_parameter(encode) or "x", "x", "data")
    return ExternalBatches(data, batch_size, device_of(*filter(None, (encode, log_likelihood))), names)


def _noted(report: CollapseReport, notes: tuple[str, ...], vae: ExternalVAE) -> CollapseReport:
    directions = None if vae.correlated else report.directions  # they are told from noise that does not vary together
    return replace(report, directions=directions, notes=(*report.notes, *notes))


def _equalized(
    vae: ExternalVAE,
    exponent: Tensor | Sequence[float] | None,
    equalizer: VarianceEqualizer | None,
    delta: float | None,
) -> ExternalVAE:
    if equalizer is not None:
        exponent, delta = _exponent_of(equalizer, vae.latents), delta or equalizer.delta
    return replace(vae, equalization=Equalization(_over_sites(exponent, vae), delta))


def _first_look(
    host: Host,
    log_likelihood: LogLikelihood | None,
    dim: Axis,
    *,
    plain: bool,
    **options: Any,  # noqa: ANN401 - of validated
) -> ExternalVAE:
    first = next(iter(host.batches))
    with explained(host.encode, host.batches):
        vae = validated(host.encode, log_likelihood, first, dim, single=host.batches.single, **options)
    if plain:
        _require_plain(vae, first)
    return vae


def _under(
    vae: ExternalVAE, prior: Prior | None, thresholds: Thresholds | None
) -> tuple[ExternalVAE | UnderPrior, Thresholds | None]:
    """The model in units of its prior; what under-dispersed means is derived for Gaussian ones alone."""
    if prior is None:
        return vae, thresholds
    under = UnderPrior(vae, prior)
    if isinstance(under.p_z(), DiagGaussian):
        return under, thresholds
    return under, replace(thresholds or Thresholds(), sharpness=math.inf)


def _check_given(encode: object, log_likelihood: object, data: object, draws: object, prior: object) -> None:
    check_prior(prior)
    if not callable(encode) or not (log_likelihood is None or callable(log_likelihood)):
        kinds = ", ".join(type(one).__name__ for one in (encode, log_likelihood, data))
        raise InputError(
            f"diagnose was given {kinds}; it takes diagnose(encode, log_likelihood, data), the first two callables"
        )
    if not isinstance(draws, int) or draws < 1:
        raise InputError(f"draws is {draws!r}; it is how often a log_likelihood that draws is called, 8 for instance")


def _absent(x: Tensor, z: Tensor) -> None:
    """Stands where there is no likelihood."""


def _require_plain(vae: ExternalVAE, batch: Tensor | Examples) -> None:
    """An EqualizedNormal is read as its sigma, so a report on it must be told what it is drawn with."""
    model, x = conditioned(vae, batch)
    assert isinstance(model, ExternalVAE)
    with torch.no_grad():
        q: Any = model.encoder(x, *model.conditions)
    while isinstance(q, Independent):
        q = q.base_dist
    if isinstance(q, EqualizedNormal) and bool((q.exponent != 1.0).any()):
        raise InputError(
            "encode returned an EqualizedNormal, which draws with less than its sigma; say exponent=equalizer.exponent "
            "to have that noise measured, or return Normal(mu, std) to have sigma's"
        )


def _exponent_of(equalizer: VarianceEqualizer, latents: Latents) -> Tensor:
    """The exponent of each dimension; where every site is one, that of the channel it belongs to."""
    like = torch.empty(1, *latents.shape, device=equalizer.exponent.device)
    if latents.axis is not None or like.shape[equalizer.dim] != equalizer.latent_dim:
        return equalizer.exponent
    return latents.rows(equalizer.exponent_for(like).expand_as(like))[0]


def _over_sites(exponent: Tensor | Sequence[float] | None, vae: ExternalVAE) -> Tensor | None:
    if exponent is None:
        return None
    exponent = torch.as_tensor(exponent)
    if exponent.shape != (vae.latents.dim,):
        raise InputError(f"exponent has shape {list(exponent.shape)}; the latents have {vae.latents.dim} dimensions")
    if not bool((torch.isfinite(exponent) & (exponent >= 1.0 - 1e-6)).all()):
        low, high = float(exponent.min()), float(exponent.max())
        raise InputError(f"exponent lies between {low:.3g} and {high:.3g}; lambda is finite and at least 1")
    return (
        exponent.detach()
        .to(vae.device, torch.promote_types(exponent.dtype, torch.float32))
        .repeat_interleave(vae.latents.sites)
    )


def _notes(
    vae: ExternalVAE, measured: ExternalVAE | UnderPrior, report: CollapseReport, equalizer: VarianceEqualizer | None
) -> tuple[str, ...]:
    notes = [*(equalizer.notes() if equalizer is not None else ())]
    notes += [*([measured.note] if isinstance(measured, UnderPrior) else []), *vae.notes]
    if vae.correlated:
        shared = report.rate_q - float(report.kl.sum())
        notes.append(
            "The posterior has a full covariance: rate and bounds are its own; each dimension is measured by its "
            f"marginal, and what the dimensions' noise shares adds {shared:.2f} nats to the sum of their KL."
        )
    if vae.latents.sites > 1:
        notes.append(
            f"Each dimension has {vae.latents.sites} sites: KL and capacities are sums over them, all else is that of "
            "a typical site."
        )
    return tuple(notes)
