"""One pass over the data: the encoder once, two mirrored draws through the decoder and back."""

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

import torch
from torch import Tensor

from lambda_vae.diagnostics.activity import activity_features
from lambda_vae.diagnostics.covariance import StreamedCovariance
from lambda_vae.diagnostics.directions import MOST_DIMENSIONS
from lambda_vae.diagnostics.gradients import gradient_features, mirrored_draws
from lambda_vae.errors import InputError
from lambda_vae.estimation.budget import Limits
from lambda_vae.estimation.examples import Examples, conditioned, x_of
from lambda_vae.estimation.likelihood import MirroredDraws, likelihood_features
from lambda_vae.estimation.moments import Moments, moments_of
from lambda_vae.estimation.noise import ExampleNoise, SampleNoise, spawned
from lambda_vae.estimation.protocol import LatentVariableModel
from lambda_vae.estimation.shares import ALONE, Shares

__all__ = ["Pass", "added", "one_pass", "too_few"]

#: Numbers of a part's first example that tell the data of one process from those of another.
_LOOKED_AT = 1024


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
    shares: Shares = ALONE,
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
        shares: The processes that go through the same data, every part counted by one of them.

    Raises:
        InputError: Fewer than two examples.
    """
    if samples is not None and samples < 0:
        raise InputError(f"iw_samples is {samples}; it must be at least 0, or left out for what costs nothing more")
    dimensions, likelihood, code = None, None, None
    noise = ExampleNoise(spawned(generator, generator.device))
    more = SampleNoise(spawned(generator, generator.device), samples or 0)
    seen, width, means = _Seen(), 0, dict[int, Tensor]()
    for place, part in enumerate(_parts(batches, limits)):
        if shares.size > 1:
            seen.add(part)
        if progress is not None:
            progress(len(part))
        if not shares.looks(place):
            for one in (noise, more):
                one.skip(len(part), width, part.device)
            continue
        own = _part(vae, part, noise, more, samples)
        width = own.draws.eps.shape[-1]
        if place == 0:
            own.compare(shares, seen, (generator.get_state().tolist(), samples, limits))
            code = _covariance(own.mu, limits)
        counted = shares.mine(place)
        dimensions = added(dimensions, own.dimensions if counted else own.dimensions.none())
        likelihood = added(likelihood, own.likelihood if counted else own.likelihood.none())
        if code is not None and counted:
            code.add(own.mu.double())
        if codes is not None and counted:
            means[place] = own.mu.cpu()
    if dimensions is None or likelihood is None:
        raise too_few(None)
    shares.agree(data=seen.digest)
    if codes is not None:
        everyone = ChainMap(*shares.exchange(means))
        codes += [everyone[place] for place in sorted(everyone)]
    if code is not None:
        code.share(shares)
    dimensions = dimensions.shared(shares)
    if dimensions.count < 2:
        raise too_few(dimensions)
    return Pass(dimensions, likelihood.shared(shares), code)


def _covariance(mu: Tensor, limits: Limits) -> StreamedCovariance | None:
    width = mu.shape[-1]
    fits = width <= MOST_DIMENSIONS and 24.0 * width**2 <= (limits.bytes or torch.inf)
    return StreamedCovariance(width, mu.device) if fits else None


@dataclass(frozen=True, eq=False)
class _Part:
    """What the pass makes of some examples."""

    model: LatentVariableModel
    x: Tensor
    mu: Tensor
    draws: MirroredDraws
    dimensions: Moments
    likelihood: Moments

    def compare(self, shares: Shares, seen: "_Seen", options: object) -> None:
        """Raise unless all processes were given the same; before much is measured."""
        if shares.size == 1:
            return
        shares.agree(data=seen.digest, options=options)
        shares.close(model=self.outlook())

    def outlook(self) -> Tensor:
        """Return the mean codes, and the mean log p(x|z) unless every call draws it anew."""
        with torch.no_grad():
            again = self.model.decode(self.draws.drawn.z).log_prob(self.x).double()
        fixed = torch.allclose(again, self.draws.log_px, rtol=1e-5, atol=1e-4)
        log_px = self.draws.log_px.mean() if fixed else self.draws.log_px.new_tensor(torch.nan)
        mean = self.dimensions.mean
        return torch.cat((mean["mu"], mean["sampling_std"], log_px.reshape(1).to(mean["mu"])))


def _part(
    vae: LatentVariableModel, part: Tensor | Examples, noise: ExampleNoise, more: SampleNoise, samples: int | None
) -> _Part:
    model, x = conditioned(vae, part)
    with torch.no_grad():
        q = model.encode(x)
        marginals, sampled = q.marginals(), model.equalization.sampled(q).marginals()
        activity = activity_features(marginals, sampled, model.p_z())
    draws = mirrored_draws(model, x, q, noise.rows(len(x), q.noise_dim, x.device)[None])
    dimensions = moments_of({**activity, **gradient_features(model, x, q, draws)})
    found = likelihood_features(model, x, q, samples, more, importance=samples != 0, known=draws)
    return _Part(model, x, marginals.mu, draws, dimensions, moments_of(found))


class _Seen:
    """A hash of the data that a process goes through: how many there are, and the first numbers of every part."""

    def __init__(self) -> None:
        self._hash = sha256()

    def add(self, part: Tensor | Examples) -> None:
        """Take in a part."""
        first = x_of(part)[:1].flatten()[:_LOOKED_AT].detach().cpu().contiguous()
        self._hash.update(f"{len(part)} {first.dtype}".encode())
        self._hash.update(first.view(torch.uint8).numpy().tobytes())

    @property
    def digest(self) -> str:
        """Of all that was taken in."""
        return self._hash.hexdigest()


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
