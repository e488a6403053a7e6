"""The first batch, before anything is measured: every mistake that would give a plausible wrong report is named."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from lambda_vae.adapters.answers import finite_densities, log_densities
from lambda_vae.adapters.conditions import Leading
from lambda_vae.adapters.encoder_checks import answers, checked_posterior, independent_of_company
from lambda_vae.adapters.foreign import Encode, ForeignVAE, LogLikelihood
from lambda_vae.adapters.known import helper_of, known_likelihood
from lambda_vae.adapters.latents import Axis, Latents
from lambda_vae.adapters.modes import require_eval
from lambda_vae.adapters.posteriors import GaussianAnswer
from lambda_vae.adapters.recovered import Recovered, recovered_law
from lambda_vae.adapters.sigma_checks import check_sigma
from lambda_vae.adapters.tensors import two_tensors
from lambda_vae.diagnostics.examples import Examples
from lambda_vae.errors import InputError

__all__ = ["looked_at"]

#: Examples that the tests of a log-likelihood are made on.
_FEW = 64


#: Of a graph's encoder.
_ENTIRE = (
    "encode answers its one batch as a whole alone, as a graph's does, so whether its examples depend on one another "
    "was not looked at; standard errors take them for independent."
)


def looked_at(
    encode: Encode,
    log_likelihood: LogLikelihood,
    batch: Tensor | Examples,
    dim: Axis,
    *,
    takes: str | None = None,
    single: bool = False,
) -> ForeignVAE:
    """Return the model as the estimators need it, after every check that one batch allows.

    torch's global generator is left as it was, whatever the callables draw from it.

    Args:
        encode: x -> (mu, logvar).
        log_likelihood: (x, z) -> log p(x|z).
        batch: The first one; of `Examples`, both callables take the conditions last.
        dim: What a dimension is.
        takes: What encode's second tensor is; None is "logvar", and looked at more closely.
        single: Whether it is the only batch, which an encoder may need whole.

    Raises:
        InputError: A mistake was found; one sentence with its cause and the line to change.
    """
    with torch.no_grad(), torch.random.fork_rng():
        x, leading_encode = _leading(encode, batch)
        require_eval("encode", encode, lambda: leading_encode(x))
        entire = single and not answers(leading_encode, x[: len(x) // 2])
        q = checked_posterior(leading_encode, x, takes, entire=entire)
        mu = q.mu
        latents = Latents.of(tuple(mu.shape[1:]), dim)

        def conditional_log_p(x: Tensor, z: Tensor, *conditions: object) -> Tensor:
            return log_densities(log_likelihood(x, z.to(mu.dtype), *conditions), x)

        head = batch[:_FEW]
        _, log_p = _leading(conditional_log_p, head)
        few, codes = x[:_FEW], mu[:_FEW]
        require_eval("log_likelihood", log_likelihood, lambda: log_p(few, codes))
        _check_likelihood(log_p, few, codes)
        conditions = head.conditions if isinstance(head, Examples) else None
        known = known_likelihood(log_likelihood, log_p, few, codes, latents, conditions)
        if known is None:
            _check_sign(log_p, few, codes)
            known = Recovered(None, None)
        if conditions is not None and helper_of(log_likelihood) is None:
            known = Recovered(None, None, notes=known.notes)  # read off with the conditions of these few
        notes = _notes_on_sigma(log_p, leading_encode, x, q, takes)
    return ForeignVAE(
        encode,
        conditional_log_p,
        latents,
        mu.device,
        decoder=known.decoder or _unknown,
        likelihood=known.likelihood,
        takes=takes,
        correlated=q.factor is not None,
        notes=(*known.notes, *notes, *([_ENTIRE] if entire else [])),
    )


def _leading(function: Callable[..., Any], batch: Tensor | Examples) -> tuple[Tensor, Callable[..., Any]]:
    """The x of a batch, and the callable without conditions: of the first of these very examples."""
    if isinstance(batch, Tensor):
        return batch, function
    return batch.x, Leading(function, batch.conditions, len(batch))


def _notes_on_sigma(
    log_p: Callable[[Tensor, Tensor], Tensor], encode: Encode, x: Tensor, q: GaussianAnswer, takes: str | None
) -> tuple[str, ...]:
    raw = encode(x)
    if isinstance(raw, Distribution):
        return ()
    few = GaussianAnswer(q.mu[:_FEW], q.logvar[:_FEW])
    return check_sigma(log_p, x[:_FEW], few, two_tensors(raw, x)[1][:_FEW], takes)


def _unknown(z: Tensor) -> Tensor:
    raise NotImplementedError("the decoder's output is not known")


def _check_likelihood(log_p: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor) -> None:
    own = log_p(x, z)
    finite_densities(own)
    _check_precision(own)
    again = log_p(x, z)
    if not torch.equal(own, again):
        raise InputError(
            f"log_likelihood gives two answers for the same x and z, {float((own - again).abs().max()):.2g} apart; "
            "use the z it is given instead of drawing one, and call model.eval() before, if it has dropout"
        )
    if len(x) < 2:
        return
    half = len(x) // 2
    # The batch twice over: each example's own value is what it was, a mean over the batch too, a sum is not.
    independent_of_company("log_likelihood", own[:half], log_p(x[:half], z[:half]))
    doubled = log_p(torch.cat((x, x)), torch.cat((z, z)))
    independent_of_company("log_likelihood", own, doubled[: len(x)])
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
