"""The exact linear VAE with orthogonal columns in W, and encoders that are wrong on purpose."""

import torch
from exact_models import LinearGaussian
from torch import Tensor

from lambda_vae.equalization import Equalization
from lambda_vae.model import VAE

NOISE_VAR = 0.5
FEATURES = 12


def loadings(information: list[float], seed: int = 0) -> Tensor:
    """Orthogonal columns w_i with |w_i|^2 / v = information[i]: the Fisher information of z_i. [F, D], float64."""
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(FEATURES, FEATURES, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(square).Q[:, : len(information)]
    return basis * (torch.tensor(information, dtype=torch.float64) * NOISE_VAR).sqrt()


def model(weights: Tensor) -> LinearGaussian:
    """The model with these loadings, no offset."""
    return LinearGaussian(weights, torch.zeros(len(weights), dtype=torch.float64), NOISE_VAR)


def draw(weights: Tensor, n: int, seed: int = 1) -> Tensor:
    """n examples of the true model, [n, F]."""
    return model(weights).sample(n, torch.Generator().manual_seed(seed))


def exact_nll(weights: Tensor, x: Tensor) -> Tensor:
    """-ln p(x), [B]."""
    return model(weights).nll(x)


def equalized(vae: VAE, exponent: Tensor | None, delta: float | None = None) -> VAE:
    """The model, weights shared, that draws z with sigma^exponent."""
    return vae.with_equalization(Equalization(exponent, delta))


def linear_vae(
    decoder: Tensor,
    *,
    encoder: Tensor | None = None,
    signal: list[float | None] | None = None,
    std: list[float | None] | None = None,
) -> VAE:
    """A VAE with this decoder and, unless told otherwise, the exact posterior of its own model.

    encoder: loadings that the encoder thinks of, the decoder's if absent. signal: S_i it should have on data drawn from
    `encoder`'s loadings. std: sigma_i.
    """
    seen = decoder if encoder is None else encoder
    vae, gain, logvar = model(decoder).vae(), model(seen).gain, -model(seen).precision.diagonal().log()
    for i, target in enumerate(signal or []):
        if target is not None:
            direction = seen[:, i] / seen[:, i].norm()
            power = seen[:, i].square().sum() + NOISE_VAR
            gain[i] = direction * (target / power).sqrt()
    for i, target in enumerate(std or []):
        if target is not None:
            logvar[i] = 2.0 * torch.tensor(target).log()
    with torch.no_grad():
        vae.posterior.head.weight.copy_(torch.cat((gain, torch.zeros_like(gain))))
        vae.posterior.head.bias.copy_(torch.cat((torch.zeros(len(gain)), logvar)))
    return vae.train()
