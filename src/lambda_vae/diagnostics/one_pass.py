"""One pass over the data: the encoder once, two mirrored draws through the decoder and back."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lambda_vae.diagnostics.activity import activity_features
from lambda_vae.diagnostics.covariance import StreamedCovariance
from lambda_vae.diagnostics.directions import MOST_DIMENSIONS
from lambda_vae.diagnostics.gradients import gradient_features, mirrored_draws
from lambda_vae.errors import InputError
from lambda_vae.estimation.budget import Limits
from lambda_vae.estimation.examples import Examples, conditioned
from lambda_vae.estimation.likelihood import likelihood_features
from lambda_vae.estimation.moments import Moments, moments_of
from lambda_vae.estimation.noise import ExampleNoise, SampleNoise, spawned
from lambda_vae.estimation.protocol import LatentVariableModel

__all__ = ["Pass", "added", "one_pass", "too_few"]


@dataclass(frozen=True, eq=False)
class Pass:
    """What one pass over the test set leaves.

    Args:
        dimensions: Moments of what the readings of dimensions need.
        likelihood: Likewise of the likelihoods.
        code: Covariance of the means; None of a code that is too wide.
    """

    dimensions: Moments
    likelihood: Moments
    code: StreamedCovariance | None


def one_pass(
    vae: LatentVariableModel,
    batches: Iterable[Tensor | Examples],
    generator: torch.Generator,
    limits: Limits,
    *,
    samples: int | None = None,
    codes: list[Tensor] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Pass:
    """Return the sums over all examples; chance belongs to an example, whatever batch it comes in.

    Args:
        vae: The model.
        batches: The data.
        generator: The source of chance.
        limits: Examples at a time.
        samples: Importance samples; None for the draws of the pass itself, 0 for none.
        codes: A list that the posterior means are added to.
        progress: Called with the number of examples that were measured.

    Raises:
        InputError: Fewer than two examples.
    """
    if samples is not None and samples < 0:
        raise InputError(f"iw_samples is {samples}; it must be at least 0, or left out for what costs nothing more")
    dimensions, likelihood, code = None, None, None
    noise = ExampleNoise(spawned(generator, generator.device))
    more = SampleNoise(spawned(generator, generator.device), samples or 0)
    for part in _parts(batches, limits):
        model, x = conditioned(vae, part)
        with torch.no_grad():
            q = model.encode(x)
            marginals, sampled = q.marginals(), model.equalization.sampled(q).marginals()
            activity = activity_features(marginals, sampled, model.p_z())
        draws = mirrored_draws(model, x, q, noise.rows(len(x), q.noise_dim, x.device)[None])
        dimensions = added(dimensions, moments_of({**activity, **gradient_features(model, x, q, draws)}))
        found = likelihood_features(model, x, q, samples, more, importance=samples != 0, known=draws)
        likelihood = added(likelihood, moments_of(found))
        width = marginals.mu.shape[-1]
        if code is None and width <= MOST_DIMENSIONS and 24.0 * width**2 <= (limits.bytes or torch.inf):
            code = StreamedCovariance(width, x.device)
        if code is not None:
            code.add(marginals.mu.double())
        if codes is not None:
            codes.append(marginals.mu.cpu())
        if progress is not None:
            progress(len(x))
    if dimensions is None or likelihood is None or dimensions.count < 2:
        raise too_few(dimensions)
    return Pass(dimensions, likelihood, code)


def _parts(batches: Iterable[Tensor | Examples], limits: Limits) -> Iterator[Tensor | Examples]:
    for batch in batches:
        if limits.whole or len(batch) <= limits.examples:
            yield batch
            continue
        for start in range(0, len(batch), limits.examples):
            yield batch[start : start + limits.examples]


def added(total: Moments | None, batch: Moments) -> Moments:
    """Return the moments of both."""
    return batch if total is None else total + batch


def too_few(moments: Moments | None) -> InputError:
    """Return what to raise where there are fewer than two examples."""
    count = 0 if moments is None else moments.count
    return InputError(f"the test set has {count} examples; a spread over examples needs at least 2")
