"""How people write sigma and the noise of a VAE's draw, rightly and wrongly."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Laplace, Normal, RelaxedOneHotCategorical, StudentT
from torch.nn import functional as F


@dataclass(frozen=True)
class Width:
    """`argument` of the encoder's raw output is what the sampler takes, `std` sigma of that; `of_std` undoes both."""

    argument: Callable[[Tensor], Tensor]
    std: Callable[[Tensor], Tensor]
    of_std: Callable[[Tensor], Tensor]


def _same(value):
    return value


def _softplus_of(std):
    return torch.log(torch.expm1(std))


#: Sigma is one of five functions of what the sampler takes.
USUAL = {
    "logvar": Width(_same, lambda s: torch.exp(0.5 * s), lambda std: 2 * std.log()),
    "log_std": Width(_same, torch.exp, torch.log),
    "std": Width(torch.exp, _same, torch.log),
    "variance": Width(torch.exp, torch.sqrt, lambda std: 2 * std.log()),
    "softplus": Width(_same, F.softplus, _softplus_of),
}
#: It is another: to be refused, or narrowed by the sigma that is drawn with.
UNUSUAL = {
    "softplus + 0.05": Width(_same, lambda s: F.softplus(s) + 0.05, lambda std: _softplus_of(std - 0.05)),
    "exp(clamped logvar / 2)": Width(_same, lambda s: torch.exp(0.5 * s.clamp(-2.0, 2.0)), lambda std: 2 * std.log()),
    "softplus, beta 2": Width(_same, lambda s: F.softplus(s, beta=2), lambda std: _softplus_of(2 * std) / 2),
    "1 / sqrt(precision)": Width(torch.exp, torch.rsqrt, lambda std: -2 * std.log()),
    "2 sigmoid": Width(_same, lambda s: 2 * torch.sigmoid(s), lambda std: torch.logit(std / 2)),
    "std + 1e-4": Width(torch.exp, lambda s: s + 1e-4, torch.log),
}


def _full(mu, std):
    mix = torch.eye(mu.shape[-1], dtype=mu.dtype) + torch.full((mu.shape[-1],) * 2, 0.3, dtype=mu.dtype).tril(-1)
    return mu + (std * torch.randn_like(mu)) @ mix.T


def _mixture(mu, std):
    return mu + std * torch.randn_like(mu) * torch.where(torch.rand_like(mu) < 0.5, 1.0, 0.2).to(mu)


def _plain(mu, std):
    return mu + std * torch.randn_like(std)


#: (mu, std) -> z that is not N(mu, std^2): to be refused.
WRONG: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "0.01 noise": lambda mu, std: mu + 0.01 * std * torch.randn_like(std),
    "1.3 noise": lambda mu, std: mu + 1.3 * std * torch.randn_like(std),
    "Laplace": lambda mu, std: Laplace(mu, std).rsample(),
    "uniform": lambda mu, std: mu + std * (torch.rand_like(std) - 0.5) * math.sqrt(12),
    "Student's t": lambda mu, std: StudentT(torch.full(mu.shape, 5.0), mu, std).rsample().to(mu),
    "|noise|": lambda mu, std: mu + std * torch.randn_like(std).abs(),
    "mean of ten": lambda mu, std: mu + std * torch.stack([torch.randn_like(std) for _ in range(10)]).mean(0),
    "mixture": _mixture,
    "full covariance": _full,
    "clamped noise": lambda mu, std: mu + std * torch.randn_like(std).clamp(-2, 2),
    "numpy's noise": lambda mu, std: mu + std * torch.from_numpy(np.random.standard_normal(mu.shape)).to(mu),
    "sigma = 1": lambda mu, std: mu + torch.randn_like(mu),
    "sigma = 0.3": lambda mu, std: mu + 0.3 * torch.randn_like(mu),
    "no noise": lambda mu, std: mu + 0 * std,
    "mu (1 + noise)": lambda mu, std: mu * (1 + std * torch.randn_like(std)),
    "Bernoulli": lambda mu, std: Bernoulli(logits=mu + 0 * std).sample() + mu - mu.detach(),
    "Gumbel": lambda mu, std: RelaxedOneHotCategorical(
        mu.new_ones(()), logits=mu + 0 * std, validate_args=False
    ).rsample(),
    "tanh(z)": lambda mu, std: torch.tanh(_plain(mu, std)),
    "softmax(z)": lambda mu, std: torch.softmax(_plain(mu, std), -1),
    "decoded": lambda mu, std: 2 * torch.tanh(_plain(mu, std).flip(-1)),
    "decoded linearly": lambda mu, std: 2 * _plain(mu, std).flip(-1) + 0.5,
    "0.18 z": lambda mu, std: 0.18 * _plain(mu, std),
    "clamped z": lambda mu, std: _plain(mu, std).clamp(-0.5, 0.5),
}


def _of(noise):
    def drawn(mu, std, size, generator):
        eps = noise(mu, size, generator)
        return eps, mu + std * eps

    return drawn


def _by_normal(mu, std, size, _):
    z = Normal(mu.expand(size), std.expand(size)).rsample()
    return (z - mu) / std, z


def _by_torch_normal(mu, std, size, generator):
    """Without a gradient to sigma, as torch has it."""
    z = torch.normal(mu.expand(size), std.expand(size), generator=generator)
    return (z - mu) / std, z


def _in_place(mu, std, size, _):
    eps = torch.randn(size, dtype=mu.dtype)
    return eps.clone(), eps.mul_(std).add_(mu)


def _addcmul(mu, std, size, _):
    eps = torch.randn(size, dtype=mu.dtype)
    return eps, torch.addcmul(mu.expand(size), std.expand(size), eps)


#: (mu, std, size, generator) -> (eps, z): ways to write N(mu, std^2).
NOISES: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "randn_like": _of(lambda mu, size, _: torch.randn_like(mu.expand(size))),
    "randn": _of(lambda mu, size, _: torch.randn(size, dtype=mu.dtype)),
    "randn, own generator": _of(lambda mu, size, own: torch.randn(size, dtype=mu.dtype, generator=own)),
    "empty.normal_()": _of(lambda mu, size, _: torch.empty(size, dtype=mu.dtype).normal_()),
    "new.normal_(own generator)": _of(lambda mu, size, own: mu.data.new(torch.Size(size)).normal_(0, 1, generator=own)),
    "torch.normal(0, 1)": _of(lambda mu, size, _: torch.normal(0.0, 1.0, size, dtype=mu.dtype)),
    "torch.normal(zeros, ones)": _of(lambda mu, size, _: torch.normal(mu.new_zeros(size), mu.new_ones(size))),
    "Normal(0, 1).sample()": _of(lambda mu, size, _: Normal(mu.new_zeros(size), mu.new_ones(size)).sample()),
    "Normal(0, 1).rsample(size)": _of(lambda mu, size, _: Normal(mu.new_zeros(()), mu.new_ones(())).rsample(size)),
    "float32 noise": _of(lambda mu, size, _: torch.randn(size).to(mu.dtype)),
    "Normal(mu, std).rsample()": _by_normal,
    "torch.normal(mu, std)": _by_torch_normal,
    "in place": _in_place,
    "addcmul": _addcmul,
}
#: Ways in which no gradient reaches mu and sigma through z in the host itself.
DETACHED = {"torch.normal(mu, std)"}
