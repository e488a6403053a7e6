"""Before any training: how many latent dimensions can survive a loss on some data."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.any_vae.batches import ExternalBatches
from lambda_vae.diagnostics.prediction import ROUNDING, Prediction, learned_noise_var
from lambda_vae.diagnostics.spectrum import StreamedSpectrum, fit_noise
from lambda_vae.errors import InputError
from lambda_vae.estimation.examples import Examples

__all__ = ["predict"]

#: Up to so many features all examples count: 128 MiB for the covariance, half a minute for its eigenvalues.
_COVARIANCE_FEATURES = 4096

Likelihoods = Literal["gaussian", "bernoulli"]
Reductions = Literal["sum", "mean"]


def predict(
    data: object,
    *,
    noise_std: float | Literal["learned"] | None = None,
    kl_weight: float = 1.0,
    reduction: Reductions | str = "sum",
    latent_dim: int | None = None,
    likelihood: Likelihoods | str = "gaussian",
    binarised: bool = False,
    batch_size: int = 500,
) -> Prediction:
    r"""Return how many latent dimensions can survive a loss on some data, before anything is trained.

    Nothing is drawn: torch's global generator is left as it was. Memory does not grow with the data. Of examples with
    more than 4,096 features as many are used as fit into 256 MiB, evenly spaced.

    Args:
        data: A tensor or array [N, ...], or batches that can be gone through again (DataLoader, list), each an x or a
            tuple whose first item is x, as the network sees them. Or a `Dataset`, a name or a path as for `load`: its
            training part, images in [0, 1].
        noise_std: s of the decoder's Gaussian, "learned" for one that is trained with the rest, or None for the bare
            squared error (x - x̂)^2 with no factor before it, which is s^2 = 1/2; half of it is noise_std=1.
        kl_weight: beta, what the KL (summed over latent dimensions) is multiplied by in the loss.
        reduction: What the loss does over the features of an example: "sum", or "mean", which weighs the KL F times
            as much; a bare mean squared error is a Gaussian of s^2 = F kl_weight / 2.
        latent_dim: D; None to count directions of the data however many there are.
        likelihood: "gaussian", or "bernoulli" for a binary cross-entropy of data in [0, 1].
        binarised: Under "bernoulli": the training draws 0 or 1 afresh from values in between, as `lambda-vae train`
            does with images.
        batch_size: Of a tensor.

    Raises:
        InputError: Data or a setting that nothing can be said of, in one sentence.

    Source:
        Lucas et al. 2019, arXiv:1911.02469, section 4; arXiv:2510.01621. For a Bernoulli likelihood the second-order
        expansion of log p(x|z) at W = 0 is a Gaussian of variance 1 in the features (x - p) / sqrt(p (1 - p)), so the
        eigenvalues are theirs.

    Example:
        >>> x = torch.tensor([4.0, 2.0, 0.5]) * torch.eye(3).repeat(2, 1) * torch.tensor([[1.0]] * 3 + [[-1.0]] * 3)
        >>> predict(x, noise_std=1.0, latent_dim=3).survivors
        2
    """
    _check(noise_std, kl_weight, reduction, latent_dim, likelihood, binarised)
    batches, notes = _batches(data, batch_size)
    with torch.random.fork_rng():  # a DataLoader draws its seed when it begins
        seen = _gone_through(batches, likelihood)
    eigenvalues, more = _eigenvalues(seen, likelihood, binarised)
    noise = fit_noise(eigenvalues, seen.varying, seen.spectrum.examples)
    loss = _loss(noise_std, kl_weight, reduction, likelihood, eigenvalues, seen.features, latent_dim)
    return Prediction(
        eigenvalues,
        seen.features,
        seen.spectrum.examples,
        noise,
        loss.noise_var,
        loss.kl_weight,
        kl_weight,
        latent_dim,
        "bernoulli" if likelihood == "bernoulli" else "gaussian",
        loss.stands_for,
        (*notes, *more, *seen.notes(likelihood)),
        _draw,
    )


def _draw(record: Mapping[str, Any], path: Path) -> Path:
    # Loading the plots takes longer than all else here, and whoever only prints need not wait for them.
    from lambda_vae.reports.prediction import draw_prediction

    return draw_prediction(record, path)


def _check(
    noise_std: object, kl_weight: object, reduction: str, latent_dim: object, likelihood: str, binarised: bool
) -> None:
    if likelihood not in ("gaussian", "bernoulli"):
        raise InputError(f"the likelihood is {likelihood!r}; it must be gaussian or bernoulli")
    if reduction not in ("sum", "mean"):
        raise InputError(f"the reduction is {reduction!r}; it must be sum or mean")
    if noise_std is not None and noise_std != "learned":
        _require_positive("noise std", noise_std, " or learned")
    if noise_std is not None and likelihood == "bernoulli":
        raise InputError("a Bernoulli likelihood has no noise to set; leave the noise out")
    if binarised and likelihood != "bernoulli":
        raise InputError("binarised data have a Bernoulli likelihood; say likelihood bernoulli, or leave binarised out")
    _require_positive("KL weight", kl_weight)
    if latent_dim is not None and (not isinstance(latent_dim, int) or latent_dim < 1):
        raise InputError(f"latent_dim is {latent_dim}; it must be a whole number of at least 1")


def _require_positive(name: str, value: object, other: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
        raise InputError(f"the {name} is {value}; it must be a number greater than 0{other}")


@dataclass(frozen=True)
class _Loss:
    noise_var: float
    kl_weight: float
    stands_for: str = ""


def _loss(
    noise_std: float | Literal["learned"] | None,
    kl_weight: float,
    reduction: str,
    likelihood: str,
    eigenvalues: Tensor,
    features: int,
    latent_dim: int | None,
) -> _Loss:
    """The loss as noise and KL weight of a sum over features."""
    mean = reduction == "mean"
    weight = kl_weight * features if mean else kl_weight
    averaged = f"averaged over {features} features with KL weight {kl_weight:.4g}"
    if noise_std == "learned":
        if latent_dim is None:
            raise InputError("the noise is learned together with the latents; say how many there are, latent_dim")
        noise = learned_noise_var(eigenvalues, features, latent_dim, weight)
        return _Loss(noise, weight, f"Learned, the noise comes to std {math.sqrt(noise):.4g}.")
    if likelihood == "gaussian" and noise_std is None:
        if mean:
            noise = 0.5 * weight
            what = f"A squared error {averaged} stands for noise variance {noise:.4g} with KL weight 1."
            return _Loss(noise, 1.0, what)
        return _Loss(0.5, weight, "A squared error summed over the features stands for noise variance 0.5.")
    told = f"A log-likelihood {averaged} stands for a summed one with KL weight {weight:.4g}." if mean else ""
    return _Loss(1.0 if noise_std is None else float(noise_std) ** 2, weight, told)


def _batches(data: object, batch_size: int) -> tuple[Iterable[Tensor | Examples], tuple[str, ...]]:
    # Loading what reads files takes longer than all else here, and whoever diagnoses need not wait for it.
    from lambda_vae.data import Dataset, FixedView, check_no_sequences, load, view_train

    dataset = load(data) if isinstance(data, str | Path) else data
    if not isinstance(dataset, Dataset):
        return ExternalBatches(data, batch_size, torch.device("cpu")), ()
    check_no_sequences(dataset, "a prediction")
    of = f"the {len(dataset.train)} training examples of {dataset.name}"
    x = FixedView(dataset.train.tensor(), dataset.train.index(), partial(view_train, binarisation="none"), batch_size)
    return x, (f"Measured on {of}{', pixels in [0, 1]' if dataset.kind == 'image' else ''}.",)


@dataclass
class _Seen:
    """What one pass over the data gave."""

    spectrum: StreamedSpectrum
    shift: Float[Tensor, " F"]
    total: int
    low: float
    high: float
    binary: bool

    @property
    def features(self) -> int:
        return self.spectrum.features

    @property
    def varying(self) -> int:
        return max(int((self.spectrum.diagonal() > 0.0).sum()), 1)

    @property
    def mean(self) -> Float[Tensor, " F"]:
        return self.shift + self.spectrum.mean()

    def notes(self, likelihood: str) -> Iterator[str]:
        examples = self.spectrum.examples
        if examples < self.total:
            yield f"{examples} of {self.total} examples were used, evenly spaced: {self.features} features are many."
        if likelihood == "gaussian" and self.binary:
            yield (
                "The data are 0 and 1 throughout: this is right for a squared error, and for a binary cross-entropy "
                "likelihood bernoulli is."
            )


def _rows(batches: Iterable[Tensor | Examples]) -> Iterator[Tensor]:
    """Batches as [B, F], checked."""
    features = None
    for batch in batches:
        x = batch.x if isinstance(batch, Examples) else batch
        rows = x.detach().flatten(1) if x.dim() > 1 else x.detach()[:, None]
        _check_rows(rows, features)
        features = rows.shape[1]
        yield rows.double() if not rows.is_floating_point() or features <= 2048 else rows.float()


def _check_rows(rows: Tensor, features: int | None) -> None:
    if rows.is_complex() or rows.is_sparse:
        raise InputError(f"data are {rows.dtype}; give real numbers, [N, ...]")
    if features is not None and rows.shape[1] != features:
        raise InputError(f"a batch has {rows.shape[1]} features, where the first had {features}; all need the same")
    if rows.dtype == torch.uint8 and bool((rows > 1).any()):
        raise InputError(
            f"data are whole numbers up to {int(rows.max())} (uint8); give them as the network sees them: data / 255"
        )
    if not bool(torch.isfinite(rows).all()):
        raise InputError("data hold NaN or infinite values; fill them or leave those examples out")


def _gone_through(batches: Iterable[Tensor | Examples], likelihood: str) -> _Seen:
    first = next(_rows(batches), None)
    if first is None:
        raise InputError("data gave no batch; if it is an iterator that was used before, give the DataLoader itself")
    shift = first.mean(0)  # what is far from zero would lose its variance to rounding
    spectrum = StreamedSpectrum(first.shape[1], covariance_features=_COVARIANCE_FEATURES)
    chosen = _chosen(batches, spectrum.most_examples)
    seen = _Seen(spectrum, shift, 0, math.inf, -math.inf, True)
    for rows in _rows(batches):
        seen.low, seen.high = min(seen.low, float(rows.min())), max(seen.high, float(rows.max()))
        seen.binary = seen.binary and bool(((rows == 0.0) | (rows == 1.0)).all())
        if likelihood == "bernoulli" and not (seen.low >= 0.0 and seen.high <= 1.0):
            raise InputError(
                f"data go from {seen.low:.4g} to {seen.high:.4g}; a Bernoulli likelihood is of values in [0, 1]"
            )
        numbers = torch.arange(seen.total, seen.total + len(rows))
        spectrum.add((rows if chosen is None else rows[chosen(numbers)]) - shift)
        seen.total += len(rows)
    if seen.total < 2:
        raise InputError("data hold one example; give at least 2")
    return seen


def _chosen(batches: Iterable[Tensor | Examples], most: float) -> Callable[[Tensor], Tensor] | None:
    """Which examples are used, by their numbers; None for all."""
    if math.isinf(most):
        return None
    total = sum(len(x) for x in batches)
    kept = int(min(most, total))
    return lambda numbers: (numbers + 1) * kept // total > numbers * kept // total


def _eigenvalues(seen: _Seen, likelihood: str, binarised: bool) -> tuple[Float[Tensor, " m"], list[str]]:
    notes = []
    if likelihood == "bernoulli":
        fisher = seen.mean * (1.0 - seen.mean)
        scale = fisher.where(seen.spectrum.diagonal() > 0.0, 1.0)
        values = seen.spectrum.eigenvalues(scale, fisher if binarised else None)
        if not binarised and not seen.binary:
            notes.append(
                "Values between 0 and 1 are taken as they are; say binarised if the training draws 0 or 1 from them, "
                "as lambda-vae train does."
            )
    else:
        values = seen.spectrum.eigenvalues()
    if not float(values[0]) > 0.0:
        raise InputError("all examples are the same; there is nothing to encode")
    return values.where(values > ROUNDING * values[0], 0.0), notes
