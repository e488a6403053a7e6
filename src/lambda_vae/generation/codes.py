"""The aggregate posterior as points, and new examples as points."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.deprecated import old_lambda
from lambda_vae.distributions import sample_x
from lambda_vae.errors import InputError
from lambda_vae.generation.samplers import Sampler
from lambda_vae.model import VAE
from lambda_vae.rng import normal

__all__ = ["aggregate_codes", "draw_examples"]

_ROWS_PER_PASS = 1000


@old_lambda(position=2)
@torch.no_grad()
def aggregate_codes(vae: VAE, batches: Iterable[Tensor], generator: torch.Generator) -> Float[Tensor, "N D"]:
    """Return one draw z ~ q_sampled(z|x) for each example: points of the aggregate posterior q(z).

    Args:
        vae: The model.
        batches: Data as the model sees it, [B, F] each.
        generator: The source of chance.

    Raises:
        InputError: There are no examples.
    """
    mixing, codes = vae.posterior.mixing_dim, []
    for x in batches:
        q = vae.sampled(vae.encode(x, normal((len(x), mixing), generator, x.device) if mixing else None))
        codes.append(q.rsample(normal((len(x), q.noise_dim), generator, x.device)))
    if not codes:
        raise InputError("there are no examples to encode")
    return torch.cat(codes)


@torch.no_grad()
def draw_examples(vae: VAE, sampler: Sampler, n: int, generator: torch.Generator) -> Float[Tensor, "n F"]:
    """Return new examples: z from the sampler, x ~ p(x|z), as the model sees its data.

    Args:
        vae: The model.
        sampler: Of z.
        n: How many.
        generator: The source of chance; z is drawn first, so that models with one seed share the draws of the prior.

    Raises:
        InputError: n below 1, or a likelihood that cannot be drawn from.
    """
    if n < 1:
        raise InputError(f"n is {n}; ask for at least one")
    drawn = []
    for z in torch.split(sampler.sample(n, generator), _ROWS_PER_PASS):
        x = sample_x(vae.decode(z), generator)
        if x is None:
            raise InputError("this likelihood cannot be drawn from at once; use another network than pixelcnn")
        drawn.append(x)
    return torch.cat(drawn)
