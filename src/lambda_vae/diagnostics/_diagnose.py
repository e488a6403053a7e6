"""One pass over a test set that measures everything, and the judgement on what it found."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from lambda_vae.deprecated import old_lambda
from lambda_vae.diagnostics.ablation import ablated
from lambda_vae.diagnostics.activity import (
    active,
    kl_per_dimension,
    log_precision,
    signal_power,
    std_mean,
    std_spread,
)
from lambda_vae.diagnostics.dimension import DimensionState, Thresholds
from lambda_vae.diagnostics.directions import CodeDirections, code_directions
from lambda_vae.diagnostics.gradients import (
    decoder_capacity,
    gradient_ratio,
    reconstruction_gradient,
)
from lambda_vae.diagnostics.information import capacity_lost, predicted_snr_capacity, snr_capacity
from lambda_vae.diagnostics.kl_weight import kl_weight_of
from lambda_vae.diagnostics.one_pass import Pass, added, one_pass, too_few
from lambda_vae.diagnostics.pooling import pooled, with_sums
from lambda_vae.diagnostics.progress import shown
from lambda_vae.diagnostics.report import CollapseReport, DimensionReadings
from lambda_vae.diagnostics.representation import Accuracy, Codes, knn_accuracy, linear_probe_accuracy
from lambda_vae.diagnostics.residual import residual_signal
from lambda_vae.diagnostics.states import history_states, states_of, strongest_sites
from lambda_vae.diagnostics.unseen import bound_on
from lambda_vae.diagnostics.verdict import verdicts
from lambda_vae.equalization import Equalization
from lambda_vae.estimation.batching import Batches, Data, eval_mode
from lambda_vae.estimation.budget import Memory, limits_of
from lambda_vae.estimation.examples import Examples
from lambda_vae.estimation.likelihood import importance_estimates, likelihood_features, likelihood_readings
from lambda_vae.estimation.moments import Moments, moments_of
from lambda_vae.estimation.protocol import LatentVariableModel
from lambda_vae.estimation.shares import ALONE, Shares
from lambda_vae.model import VAE

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["compute_report", "diagnose", "quick_reading"]

#: One class a row; test and train differ in length.
Labels = Tensor | Shaped[np.ndarray, " _"]


@old_lambda()
def diagnose(
    vae: VAE,
    test_x: Data,
    *,
    iw_samples: int | None = None,
    memory: Memory | None = None,
    batch_size: int = 500,
    generator: torch.Generator | None = None,
    kl_weight: float | None = None,
    history: Mapping[str, Any] | None = None,
    test_labels: Labels | None = None,
    train_x: Data | None = None,
    train_labels: Labels | None = None,
    thresholds: Thresholds | None = None,
    progress: bool = False,
    process_group: "ProcessGroup | None" = None,
) -> CollapseReport:
    """Return every measure of a model on a test set, and a verdict on each dimension.

    The model is left as it was found: no weight, gradient, or train/eval mode changes.

    Args:
        vae: The model; the work is done on its device, with the lambda that it was trained with.
        test_x: As the model sees it, binarised already.
        iw_samples: K of the importance-weighted estimate; None for the two draws that all else is measured with, which
            cost nothing more; 0 for none.
        memory: Bytes that the work may take besides model and data, or text such as "1 GiB"; by default about as much
            as an ELBO pass of a batch.
        batch_size: Examples at a time, for a tensor; the report does not depend on it.
        generator: The source of chance; without one, a fresh one with seed 0.
        kl_weight: What the training objective multiplied the KL term by; None for what the history or the gradients
            say.
        history: `history.json` of the training, which tells causes best.
        test_labels: With `train_x` and `train_labels`, for the accuracy of probes; a row of labels for every row of
            data.
        train_x: As the model sees it; also for the bound on data that it was trained on.
        train_labels: Of `train_x`.
        thresholds: Of the verdicts.
        progress: Whether to show a bar, where there is a terminal.
        process_group: Processes that divide the examples among themselves, such as `torch.distributed.group.WORLD`. All
            of them call this, with the same model, options and data, and get the report of one process. None measures
            in this process alone, whatever others there are.

    Raises:
        InputError: Fewer than two examples, processes that were given different things, wrong width, too little memory
            for one, batches that can be gone through only once, or labels that do not match.
    """
    limits = thresholds or Thresholds()
    device = next(vae.parameters()).device
    chance = generator or torch.Generator(device).manual_seed(0)
    probed = test_labels is not None and train_x is not None and train_labels is not None
    codes: list[Tensor] | None = [] if probed else None
    with (
        eval_mode(vae),
        Shares(process_group) as shares,
        shown(progress and shares.rank == 0, test_x) as tick,
    ):
        report = compute_report(
            vae,
            Batches(test_x, batch_size, vae),
            chance,
            iw_samples=iw_samples,
            memory=memory,
            progress=tick,
            kl_weight=kl_weight,
            history=history,
            thresholds=limits,
            codes=codes,
            shares=shares,
        )
        if train_x is not None:
            report = report.beside_training(bound_on(vae, Batches(train_x, batch_size, vae), chance))
        if codes is None:
            return report
        probe, knn = _probe(vae, torch.cat(codes), test_labels, train_x, train_labels, batch_size)
    return replace(report, linear_probe=probe, knn=knn)


@old_lambda()
def compute_report(
    vae: LatentVariableModel,
    batches: Iterable[Tensor | Examples],
    generator: torch.Generator,
    *,
    iw_samples: int | None = None,
    memory: Memory | None = None,
    whole: bool = False,
    progress: Callable[[int], None] | None = None,
    kl_weight: float | None = None,
    history: Mapping[str, Any] | None = None,
    thresholds: Thresholds | None = None,
    sites: int = 1,
    differentiated: bool = True,
    codes: list[Tensor] | None = None,
    shares: Shares = ALONE,
) -> CollapseReport:
    """Return every measure of a model, ours or another, that is ready to be measured.

    Args:
        vae: In evaluation mode.
        batches: On the model's device; gone through several times. `Examples` are for a model that is `Conditional`.
        generator: The source of chance.
        iw_samples: K; None for the two draws of the pass itself, 0 for none.
        memory: As for `diagnose`.
        whole: Whether the data are one batch that the model needs whole.
        progress: Called with the number of examples that were measured.
        kl_weight: What the training objective multiplied the KL term by; None for what the history or, clearly not 1,
            the gradients of the dimensions in use say.
        history: Of the training.
        thresholds: Of the verdicts.
        sites: Neighbours in the code that make up one dimension of the report.
        differentiated: Whether log p(x|z) has a gradient; without, dimensions are judged by their means alone.
        codes: A list that the posterior means of all batches are added to, [B, D]; None keeps memory independent of
            the length of the data.
        shares: The processes that divide the examples.

    Raises:
        InputError: Fewer than two examples, or processes that were given different models, options or data.
    """
    limits = thresholds or Thresholds()
    first = next(iter(batches), None)
    if first is None:
        raise too_few(None)
    allowed = limits_of(vae, first, memory, whole=whole)
    seen = one_pass(vae, batches, generator, allowed, samples=iw_samples, codes=codes, progress=progress, shares=shares)
    each = _read(seen.dimensions, vae.equalization, limits)
    resting = seen.dimensions.mean["mu"]
    search: dict[str, Any] = {
        "generator": generator,
        "examples": seen.dimensions.count,
        "limits": allowed,
        "shares": shares,
    }
    residual = residual_signal(vae, batches, each.active, resting, margin=limits.residual_margin, **search)
    weight = kl_weight_of(each, kl_weight, history)
    judged = partial(states_of, kl_weight=weight.judged, differentiated=differentiated)
    readings, states = _by_dimension(seen.dimensions, each, vae.equalization, limits, judged, sites)
    past = history_states(history, len(states))
    in_use = readings.active.nonzero().flatten().tolist()
    worth = ablated(vae, batches, in_use, sites, resting, errors=limits.errors, **search)
    return CollapseReport(
        examples=seen.dimensions.count,
        likelihood=likelihood_readings(seen.likelihood),
        importance=importance_estimates(seen.likelihood, 2 if iw_samples is None else iw_samples),
        dimensions=readings if worth is None else replace(readings, bound_gain=worth.bound_gain),
        findings=verdicts(states, residual, past, limits, sites),
        residual=residual,
        directions=_directions(seen, limits),
        judged_from_history=past is not None,
        ablation=worth,
        notes=() if weight.note is None else (weight.note,),
    )


def _by_dimension(
    moments: Moments,
    each: DimensionReadings,
    rule: Equalization,
    limits: Thresholds,
    judged: Callable[[DimensionReadings, Tensor], list[DimensionState]],
    sites: int,
) -> tuple[DimensionReadings, list[DimensionState]]:
    """Readings and states of dimensions that are made up of so many sites, in a row."""
    own = judged(each, moments.mean["mu"])
    if sites == 1:
        return each, own
    typical = pooled(moments, sites)
    if rule.exponent is not None:
        rule = replace(rule, exponent=rule.exponent[::sites])
    readings = with_sums(_read(typical, rule, limits), each, sites)
    states = strongest_sites(judged(readings, typical.mean["mu"]), own, limits.active)
    return replace(readings, active=readings.active | each.active.view(-1, sites).any(1)), states


@old_lambda()
def quick_reading(
    vae: VAE,
    test_x: Data,
    *,
    batch_size: int = 500,
    generator: torch.Generator | None = None,
) -> dict[str, float]:
    """Return the bound, the surrogate and the active units from one sample per example, for a look between epochs.

    Args:
        vae: The model.
        test_x: As the model sees it.
        batch_size: Examples at a time, for a tensor.
        generator: The source of chance; without one, a fresh one with seed 0.

    Returns:
        nll_bound and surrogate_nll in nats per example, active_units.

    Raises:
        InputError: As `diagnose`.
    """
    device = next(vae.parameters()).device
    chance = generator or torch.Generator(device).manual_seed(0)
    bound, means = None, None
    with eval_mode(vae), torch.no_grad():
        for x in Batches(test_x, batch_size, vae):
            q = vae.encode(x)
            features = likelihood_features(vae, x, q, 1, chance, importance=False)
            bound = added(bound, moments_of(features))
            mu = q.marginals().mu
            means = added(means, moments_of({"mu": mu, "mu_sq": mu.double().square()}))
    if bound is None or means is None or bound.count < 2:
        raise too_few(bound)
    terms = likelihood_readings(bound)
    power = signal_power(means).value
    units = float("nan") if bool(power.isnan().any()) else float(active(power).sum())
    return {**{name: float(terms[name].value) for name in ("nll_bound", "surrogate_nll")}, "active_units": units}


def _directions(seen: Pass, limits: Thresholds) -> CodeDirections | None:
    if seen.code is None or seen.code.count <= len(seen.code.total):  # n examples have no more than n - 1 directions
        return None
    return code_directions(seen.code, seen.dimensions.mean["sampling_var"], limits.active)


def _read(moments: Moments, rule: Equalization, limits: Thresholds) -> DimensionReadings:
    power = signal_power(moments)
    implied = rule.delta if rule.acts else None  # where lambda is 1, delta implies nothing
    return DimensionReadings(
        kl=kl_per_dimension(moments),
        std_mean=std_mean(moments),
        std_spread=std_spread(moments),
        log_precision=log_precision(moments),
        sampling_std=moments.read(lambda m: m["sampling_var"].sqrt(), "z"),
        signal_power=power,
        reconstruction_gradient=reconstruction_gradient(moments),
        gradient_ratio=gradient_ratio(moments),
        snr_capacity=snr_capacity(moments),
        snr_capacity_predicted=None if implied is None else predicted_snr_capacity(moments, implied),
        decoder_capacity=decoder_capacity(moments),
        capacity_lost=capacity_lost(moments, limits.reference_std),
        exponent=torch.ones_like(power.value) if rule.exponent is None else rule.exponent.detach().to(power.value),
        active=active(power.value, limits.active),
    )


def _probe(
    vae: VAE,
    codes: Tensor,
    test_labels: Labels | None,
    train_x: Data | None,
    train_labels: Labels | None,
    batch_size: int,
) -> tuple[Accuracy, Accuracy]:
    assert train_x is not None
    with torch.no_grad():
        batches = Batches(train_x, batch_size, vae)
        fitted = torch.cat([vae.encode(x).marginals().mu.cpu() for x in batches])
    test = Codes(codes.numpy(), np.asarray(test_labels))
    train = Codes(fitted.numpy(), np.asarray(train_labels))
    return linear_probe_accuracy(train, test), knn_accuracy(train, test)
