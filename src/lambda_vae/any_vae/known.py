"""Which p(x|z) a log-likelihood is: said by a helper of ours, or read off the gradient of a hand-written one."""

from collections.abc import Callable

from torch import Tensor

from lambda_vae.any_vae.conditions import Asked
from lambda_vae.any_vae.latents import Latents
from lambda_vae.any_vae.recovered import Recovered, recovered_law
from lambda_vae.any_vae.recovered.probe import means_over
from lambda_vae.distributions.base import Independent
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import DecoderLikelihood
from lambda_vae.likelihoods.suspicions import Given, suspicions

__all__ = ["helper_of", "known_likelihood"]


def helper_of(log_likelihood: Callable[..., Tensor]) -> DecoderLikelihood | None:
    """Return the helper that a log-likelihood is, or None; a helper is known with any conditions, not these alone."""
    function = log_likelihood.function if isinstance(log_likelihood, Asked) else log_likelihood
    return function if isinstance(function, DecoderLikelihood) else None


def known_likelihood(
    log_likelihood: Callable[..., Tensor],
    log_p: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    z: Tensor,
    latents: Latents,
    conditions: object = None,
) -> Recovered | None:
    """Return the decoder and the distribution behind a log-likelihood, or None where nothing is known of it.

    Where conditions of these examples are given, the decoder takes such behind its rows.

    Raises:
        InputError: Its numbers show a mistake that would make the report wrong.
    """
    helper = helper_of(log_likelihood)
    if helper is not None:
        asked = log_likelihood if isinstance(log_likelihood, Asked) else None
        return _of_helper(helper, x, z, latents, asked, conditions)
    law = recovered_law(log_p, x, z, latents.latent)
    if law is None:
        return None
    _require_sum(law, x)
    notes = law.notes
    if law.decoder is not None and law.likelihood is not None:
        p_x = law.likelihood(law.decoder(latents.rows(z)))
        if isinstance(p_x, Independent) and p_x.mean.shape == x.flatten(1).shape:
            notes += suspicions(Given("log_likelihood", law.family, x, p_x.mean, (p_x.mean.shape[1],)))
    if law.mean is not None:
        notes += suspicions(Given("log_likelihood", law.family, x, law.mean, (law.mean.shape[1],)))
    return Recovered(law.decoder, law.likelihood, 1, law.family, notes)


def _require_sum(law: Recovered, x: Tensor) -> None:
    if law.averaged_over == 1:
        return
    count = law.averaged_over
    if count not in means_over(x):
        raise InputError(
            f"log_likelihood is {1 / count:.4g} times a {law.family}'s log-probability; return it without that weight, "
            f"and say kl_weight={count:.4g} if the model was trained with it"
        )
    besides = f"; a model that was trained so has kl_weight={count} besides"
    if law.family == "Gaussian":
        besides = f"; a model that was trained so has gaussian(decode, std=std_of_kl_weight(1.0, {count}))"
    if law.family == "Laplace":
        besides = f"; a model that was trained so has laplace(decode, scale={count})"
    raise InputError(
        f"log_likelihood is averaged over the {count} features of an example, so the KL outweighs it {count} times; "
        f"sum over them: .flatten(1).sum(1) in place of .mean(1){besides}"
    )


def _of_helper(
    helper: DecoderLikelihood,
    x: Tensor,
    z: Tensor,
    latents: Latents,
    asked: Asked | None = None,
    conditions: object = None,
) -> Recovered:
    notes: tuple[str, ...] = helper.notes(x)
    beside = () if asked is None else asked.by_place(conditions)
    for part, own, given in helper.parts(x, z, *beside):
        if part.mean_like_x:
            p_x = part.observation(part.parameters(own, *given))
            answer = part.decode(*given)
            shape = tuple(answer.shape[1:]) if isinstance(answer, Tensor) else ()
            if isinstance(answer, Tensor) and answer.element_size() < 4 and not getattr(part, "logits", True):
                notes += (
                    f"decode gives probabilities in {str(answer.dtype).removeprefix('torch.')}, where those near 1 "
                    "become 1: compute its last sigmoid in float32, or return the logits.",
                )
            if isinstance(p_x, Independent):
                notes += suspicions(Given("decode", part.family, own, p_x.mean, shape))

    def decoder(rows: Tensor, *conditions: object) -> Tensor:
        latent = latents.latent(rows).to(z.dtype)
        like = x[:1].expand(len(rows), *x.shape[1:])
        return helper.parameters(like, latent, *(asked.by_place(*conditions) if asked is not None else ())).flatten(1)

    return Recovered(decoder, helper.unpacked(x, z, *beside), 1, helper.family, notes)
