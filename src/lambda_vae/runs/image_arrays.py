"""The images of a run: reconstructions, prior samples, traversals, as uint8 arrays."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy.typing import NDArray
from torch import Tensor

from lambda_vae.distributions import Causal, Independent, LikelihoodDistribution, Tokens
from lambda_vae.model import VAE

__all__ = ["ShownCodes", "pixels", "run_images", "shown", "shown_codes"]

_TRAVERSAL_STEPS = 9


def pixels(values: Float[Tensor, "*batch F"], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return images in 0..255.

    Args:
        values: In [0, 1], flattened; values outside are clipped.
        shape: Of one image.
    """
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy().reshape(*values.shape[:-1], *shape)


def shown(p_x: LikelihoodDistribution, seed: int | None = None) -> Shaped[Tensor, "*batch F"]:
    """Return what shows p(x|z): E[x|z], or what an autoregressive decoder makes pixel by pixel, token by token.

    Args:
        p_x: The likelihood at some z.
        seed: Draw those pixels or tokens; without one, each is the likeliest.
    """
    if isinstance(p_x, Causal | Tokens):
        generator = torch.Generator(p_x.context.device)
        return p_x.greedy() if seed is None else p_x.sample(generator.manual_seed(seed))
    assert isinstance(p_x, Independent)
    return p_x.mean


@dataclass(frozen=True, eq=False)
class ShownCodes:
    """The codes whose p(x|z) a run's folder holds.

    Args:
        mu: Of the examples, [N, D].
        drawn: From the prior, [48, D].
        moved: The first example's, one dimension moved, [dims, steps, D].
        dims: Which.
        values: To where.
    """

    mu: Float[Tensor, "N D"]
    drawn: Float[Tensor, "M D"]
    moved: Float[Tensor, "dims steps D"]
    dims: list[int]
    values: Float[Tensor, " steps"]


@torch.no_grad()
def shown_codes(
    vae: VAE, x: Shaped[Tensor, "N F"], kl: list[float], *, reach: float = 3.0, seed: int = 0
) -> ShownCodes:
    """Return the mean codes, draws from the prior, and one code moved along single dimensions.

    Args:
        vae: The trained model.
        x: Test examples as the model sees them.
        kl: KL of each dimension in nats; traversals take the five largest and the smallest.
        reach: Traversals run from -reach to +reach, around the mean code of the first example.
        seed: Of the draws from the prior; the same for every model, so that models can be compared.
    """
    mu, p_z = vae.encode(x).marginals().mu, vae.p_z()
    eps = torch.randn(48, p_z.noise_dim, generator=torch.Generator().manual_seed(seed))
    z = p_z.rsample(eps.to(mu.device))
    ranked = sorted(range(vae.latent_dim), key=lambda i: -kl[i])
    dims = ranked[:5] + ([ranked[-1]] if len(ranked) > 5 else [])
    values = torch.linspace(-reach, reach, _TRAVERSAL_STEPS)
    codes = mu[0].repeat(len(dims), _TRAVERSAL_STEPS, 1)
    for row, dim in enumerate(dims):
        codes[row, :, dim] = values.to(mu.device)
    return ShownCodes(mu, z, codes, dims, values)


@torch.no_grad()
def run_images(
    vae: VAE, x: Float[Tensor, "N F"], shape: tuple[int, ...], kl: list[float], *, reach: float = 3.0, seed: int = 0
) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of `images.npz`: p(x|z) at mu, at draws from the prior, and along single dimensions (`shown`).

    Args:
        vae: The trained model.
        x: Test images as the model sees them.
        shape: Of one image.
        kl: As for `shown_codes`.
        reach: As for `shown_codes`.
        seed: As for `shown_codes`.
    """
    codes = shown_codes(vae, x, kl, reach=reach, seed=seed)
    return {
        "originals": pixels(x, shape),
        "reconstructions": pixels(shown(vae.decode(codes.mu)), shape),
        "prior_samples": pixels(shown(vae.decode(codes.drawn), seed), shape),
        "traversal_dims": np.array(codes.dims),
        "traversal_values": codes.values.numpy(),
        "traversals": pixels(shown(vae.decode(codes.moved)), shape),
    }
