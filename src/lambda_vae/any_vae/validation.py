"""The first batch, before anything is measured: every mistake that would give a plausible wrong report is named."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from lambda_vae.any_vae.conditions import Leading
from lambda_vae.any_vae.encoder_checks import checked_posterior, independent_of_company
from lambda_vae.any_vae.external import Encode, ExternalVAE, LogLikelihood
from lambda_vae.any_vae.failures import runs
from lambda_vae.any_vae.gradients_in_z import slope_of
from lambda_vae.any_vae.known import helper_of, known_likelihood
from lambda_vae.any_vae.latents import Axis, Latents
from lambda_vae.any_vae.modes import require_eval
from lambda_vae.any_vae.outputs import finite_densities, log_densities
from lambda_vae.any_vae.posteriors import GaussianOutput
from lambda_vae.any_vae.prior_fit import codes_off_prior
from lambda_vae.any_vae.recovered import Recovered, recovered_law
from lambda_vae.any_vae.sigma_checks import check_sigma
from lambda_vae.any_vae.tensors import two_tensors
from lambda_vae.errors import InputError
from lambda_vae.estimation.examples import Examples, x_of

__all__ = ["validated"]

WITHOUT_LIKELIHOOD = (
    "No log_likelihood was given: KL, sigma, signal and capacity are measured; there are no bounds and no gradients, "
    "and no cause can be told."
)

WITHOUT_GRADIENT = (
    "log_likelihood has no gradient in z that torch knows (numpy, another library, no_grad, whole numbers): what is "
    "made of gradients is NaN, under-dispersed dimensions are not told apart, and causes rest on what the data hold "
    "alone."
)

#: Examples that the tests of a log-likelihood are made on: of large ones fewer, which hold as many numbers.
_FEW, _FEWEST, _NUMBERS = 64, 16, 2**22


#: Of a graph's encoder.
_ENTIRE = (
    "encode answers its one batch as a whole alone, as a graph's does, so whether its examples depend on one another "
    "was not looked at; standard errors take them for independent."
)


_UNCHECKED = (
    "encode's second tensor was taken for ln sigma^2, which nothing checks without a likelihood; takes= names another."
)


def validated(
    encode: Encode,
    log_likelihood: LogLikelihood | None,
    batch: Tensor | Examples,
    dim: Axis,
    *,
    takes: str | None = None,
    draws: int = 1,
    prior: bool = True,
    single: bool = False,
) -> ExternalVAE:
    """Return the model as the estimators need it, after every check that one batch allows.

    torch's global generator is left as it was, whatever the callables draw from it.

    Args:
        encode: x -> (mu, logvar).
        log_likelihood: (x, z) -> log p(x|z); None where there is none.
        batch: The first one; of `Examples`, both callables take the conditions last.
        dim: What a dimension is.
        takes: What encode's second tensor is; None is "logvar", and looked at more closely.
        draws: Calls of a log_likelihood that draws; their mean is taken.
        prior: Whether the prior is N(0, I), against which sigma can be checked.
        single: Whether it is the only batch, which an encoder may need whole.

    Raises:
        InputError: A mistake was found; one sentence with its cause and the line to change.
    """
    with torch.no_grad(), torch.random.fork_rng():
        x, leading_encode = _leading(encode, batch)
        require_eval("encode", encode, lambda: leading_encode(x))
        half = x[: len(x) // 2]
        entire = single and len(half) > 0 and not runs(leading_encode, half)
        q = checked_posterior(leading_encode, x, takes, entire=entire, standard=prior)
        mu = q.mu
        latents = Latents.of(tuple(mu.shape[1:]), dim)

        plain = ExternalVAE(
            encode,
            None,
            latents,
            mu.device,
            _unknown,
            takes=takes,
            correlated=q.factor is not None,
            whole=entire,
            notes=(*([_ENTIRE] if entire else []), *_notes_on_prior(q, latents, standard=prior)),
        )
        if log_likelihood is None:
            guessed = takes is None and not isinstance(leading_encode(x), Distribution)
            return replace(plain, notes=(*plain.notes, WITHOUT_LIKELIHOOD, *([_UNCHECKED] if guessed else [])))
        with_likelihood = _with_likelihood(plain, log_likelihood, batch, q, draws)
        if draws > 1 or not prior:
            return with_likelihood
        notes = _notes_on_sigma(with_likelihood, batch, leading_encode, q, takes)
    return replace(with_likelihood, notes=(*with_likelihood.notes, *notes))


def _with_likelihood(
    vae: ExternalVAE, log_likelihood: LogLikelihood, batch: Tensor | Examples, q: GaussianOutput, draws: int
) -> ExternalVAE:
    """The model with what is known of its likelihood, which the batch is used to check."""
    kind = q.mu.dtype

    def conditional_log_p(x: Tensor, z: Tensor, *conditions: object) -> Tensor:
        each = [log_densities(log_likelihood(x, z.to(kind), *conditions), x) for _ in range(draws)]
        return each[0] if draws == 1 else torch.stack(each).mean(0)

    count = _few(batch)
    head, codes = batch[:count], q.mu[:count]
    few, log_p = _leading(conditional_log_p, head)
    require_eval("log_likelihood", log_likelihood, lambda: log_p(few, codes))
    _check_likelihood(log_p, few, codes, draws)
    if draws > 1:
        return replace(vae, log_likelihood=conditional_log_p, notes=(*vae.notes, _drawn(draws)))
    conditions = head.conditions if isinstance(head, Examples) else None
    known = known_likelihood(log_likelihood, log_p, few, codes, vae.latents, conditions)
    if known is None:
        _check_sign(log_p, few, codes)
        known = Recovered(None, None)
    if conditions is not None and helper_of(log_likelihood) is None:
        known = Recovered(None, None, notes=known.notes)  # read off with the conditions of these few
    slope = slope_of(log_p, few, codes)
    return replace(
        vae,
        log_likelihood=conditional_log_p,
        decoder=_unknown if known.decoder is None else _outside_inference(known.decoder),
        likelihood=known.likelihood,
        slope=slope,
        notes=(*vae.notes, *known.notes, *([] if slope in (None, 0.0) else [WITHOUT_GRADIENT])),
    )


def _notes_on_prior(q: GaussianOutput, latents: Latents, *, standard: bool) -> list[str]:
    off = codes_off_prior(q.over_rows(latents).marginals(), latents.sites) if standard else None
    return [] if off is None else [off]


def _drawn(draws: int) -> str:
    return (
        f"log_likelihood was called {draws} times for every z and the mean of its log p(x|z) taken, as its training "
        "does: nll_bound stays an upper bound."
    )


def _outside_inference(decoder: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """What inference mode made cannot be differentiated from; a copy can."""

    def copied(z: Tensor, *conditions: object) -> Tensor:
        theta = decoder(z, *conditions)
        return theta.clone() if theta.is_inference() else theta

    return copied


def _leading(function: Callable[..., Any], batch: Tensor | Examples) -> tuple[Tensor, Callable[..., Any]]:
    """The x of a batch, and the callable without conditions: of the first of these very examples."""
    if isinstance(batch, Tensor):
        return batch, function
    return batch.x, Leading(function, batch.conditions, len(batch))


def _notes_on_sigma(
    vae: ExternalVAE, batch: Tensor | Examples, encode: Callable[..., Any], q: GaussianOutput, takes: str | None
) -> tuple[str, ...]:
    raw = encode(batch if isinstance(batch, Tensor) else batch.x)
    if isinstance(raw, Distribution) or vae.log_likelihood is None:
        return ()
    count = _few(batch)
    x, log_p = _leading(vae.log_likelihood, batch[:count])
    few = GaussianOutput(q.mu[:count], q.logvar[:count])
    return check_sigma(log_p, x, few, two_tensors(raw, q.mu)[1][:count], takes)


def _few(batch: Tensor | Examples) -> int:
    return min(_FEW, max(_FEWEST, _NUMBERS // max(1, x_of(batch)[0].numel())))


def _unknown(z: Tensor) -> Tensor:
    raise NotImplementedError("the decoder's output is not known")


def _check_likelihood(log_p: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor, draws: int = 1) -> None:
    own = log_p(x, z)
    finite_densities(own)
    _check_precision(own)
    apart = float((own - log_p(x, z)).abs().max())
    if apart > 0.0 and draws == 1:
        raise InputError(
            f"log_likelihood gives two answers for the same x and z, {apart:.2g} apart; use the z it is given instead "
            "of drawing one, call model.eval() before, if it has dropout, or say draws=8, if the decoder draws by "
            "design"
        )
    if len(x) < 2:
        return
    half = len(x) // 2
    # The batch twice over: each example's own value is what it was, a mean over the batch too, a sum is not.
    independent_of_company("log_likelihood", own[:half], log_p(x[:half], z[:half]), 10.0 * apart)
    doubled = log_p(torch.cat((x, x)), torch.cat((z, z)))
    independent_of_company("log_likelihood", own, doubled[: len(x)], 10.0 * apart)
    alike = bool((own == own[0]).all()) and not bool((x == x[0]).all())
    if alike and not torch.allclose(log_p(x[:2], z[:2]), own[:2], rtol=1e-6):
        raise InputError(
            f"log_likelihood gives the same number {float(own[0]):.6g} for every example; take the mean over the batch "
            "out of it and return one value an example"
        )


def _check_precision(log_p: Tensor) -> None:
    """Sums over features in half precision are off by nats, and rounded to it afterwards they look like it still."""
    low = next((kind for kind in (torch.bfloat16, torch.float16) if _rounded(log_p, kind)), None)
    if log_p.element_size() < 4 or (low is not None and len(log_p) >= 16):
        kind = str(log_p.dtype if low is None else low).removeprefix("torch.")
        raise InputError(
            f"log_likelihood is computed in {kind}, in which a sum over features is off by nats; compute it in "
            "float32: `.float()` on the decoder's output"
        )


def _rounded(log_p: Tensor, kind: torch.dtype) -> bool:
    """Whether all of them are numbers of that precision, and use its last digit or are no whole ones."""
    low, quarters = log_p.to(kind), 4.0 * log_p
    to_the_last = float((low.view(torch.int16) & 1).float().mean()) > 0.2
    return bool((low == log_p).all()) and (to_the_last or bool((quarters != quarters.round()).any()))


def _check_sign(log_p: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor) -> None:
    """Of a value that is no known log density: whether its negative is one, or likes an example's own code better."""
    gain = (log_p(x, z) - log_p(x, z.roll(1, 0))).double()
    prefers_others = len(x) >= 8 and float(gain.mean()) < -4.0 * float(gain.std()) / len(x) ** 0.5
    if prefers_others or recovered_law(lambda x, z: -log_p(x, z), x, z, lambda rows: rows) is not None:
        raise InputError("log_likelihood falls where it should rise, as a loss does; return its negative")
