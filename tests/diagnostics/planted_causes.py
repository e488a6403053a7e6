"""Linear data under a Gaussian likelihood: theory says of every latent dimension whether it lives, and why not."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import nn
from torch.func import stack_module_state

#: Eigenvalues of the data's covariance above its noise, whose variance is 0.25.
EIGENVALUES = (9.0, 6.0, 4.0, 2.5, 1.6, 1.0, 0.7, 0.5, 0.4, 0.35)
NOISE_VAR = 0.25
LATENTS = 16

#: KL weight and the std of the noise that the likelihood assumes.
SETTINGS = ((1.0, 0.5), (3.0, 0.5), (1.0, 1.2), (2.0, 1.0), (0.5, 1.0))

LIVES, NO_SIGNAL, NOISE, WEIGHT = "lives", "no signal", "decoder noise", "gradient imbalance"


def theory(kl_weight, std, eigenvalues=EIGENVALUES, latents=LATENTS):
    """How many dimensions live or collapse for which cause (Lucas et al. 2019): e > beta s^2 lives."""

    def cause(e):
        if e > kl_weight * std**2:
            return LIVES
        if e <= NOISE_VAR:
            return NO_SIGNAL
        return NOISE if e <= std**2 else WEIGHT

    return Counter(cause(e) for e in (*eigenvalues, *[NOISE_VAR] * latents)[:latents])


def counted(report):
    """The same of a report."""
    return Counter(LIVES if cause is None else str(cause) for cause in report.causes)


def apart(found, expected):
    """By how many dimensions the worst count is off."""
    return max(abs(found[cause] - expected[cause]) for cause in {*found, *expected})


@dataclass
class LinearData:
    """x = U diag(sqrt(e - v)) z + noise of variance v."""

    features: int = 40
    seed: int = 0
    eigenvalues: tuple[float, ...] = EIGENVALUES

    def __post_init__(self):
        generator = torch.Generator().manual_seed(1000 + self.seed)
        shape = self.features, len(self.eigenvalues)
        self.basis = torch.linalg.qr(torch.randn(*shape, generator=generator)).Q
        self.values = torch.tensor(self.eigenvalues)

    def draw(self, examples, seed=0):
        generator = torch.Generator().manual_seed(7919 * self.seed + seed)
        codes = torch.randn(examples, len(self.values), generator=generator) * (self.values - NOISE_VAR).sqrt()
        return codes @ self.basis.T + NOISE_VAR**0.5 * torch.randn(examples, self.features, generator=generator)

    def optimum(self, kl_weight, std, latents=LATENTS):
        """Encoder and decoder of the best linear VAE on endless data: w^2 = e - beta s^2."""
        noise, spare = kl_weight * std**2, latents - len(self.values)
        square = torch.cat(((self.values - noise).clamp(min=0.0), torch.zeros(spare)))
        columns = torch.cat((self.basis, torch.zeros(self.features, spare)), 1) * square.sqrt()
        variance = noise / (square + noise)

        def encode(x):
            return x @ columns / (square + noise), variance.log().expand(len(x), latents)

        return encode, lambda z: z @ columns.T


class TwoLayers(nn.Module):
    """A VAE with one hidden layer on each side."""

    def __init__(self, features, hidden=128, latents=LATENTS):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latents))
        self.decoder = nn.Sequential(nn.Linear(latents, hidden), nn.ReLU(), nn.Linear(hidden, features))

    def encode(self, x):
        return self.encoder(x).chunk(2, -1)


def fitted(x, settings, steps, seed=0, learning_rate=2e-3):
    """One network for each KL weight and std, by Adam on E[|x - dec(z)|^2]/(2 s^2) + beta KL, its rate falling to 0.

    They are trained at once, each product one for all of them: the losses have no weight in common, so that their sum
    trains each as its own would.
    """
    generator = torch.Generator().manual_seed(seed)
    networks = [TwoLayers(x.shape[1]) for _ in settings]
    weights, _ = stack_module_state(networks)
    kl_weight, std = (torch.tensor(column) for column in zip(*settings, strict=True))
    optimizer = torch.optim.Adam(weights.values(), learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def layers(part, x):
        bias, last = (weights[f"{part}.{layer}.bias"].unsqueeze(1) for layer in (0, 2))
        hidden = torch.baddbmm(bias, x, weights[f"{part}.0.weight"].mT).relu()
        return torch.baddbmm(last, hidden, weights[f"{part}.2.weight"].mT)

    for _ in range(steps):
        batch = x[torch.randint(len(x), (200,), generator=generator)].expand(len(settings), -1, -1)
        mu, logvar = layers("encoder", batch).chunk(2, -1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape, generator=generator)
        error = (layers("decoder", z) - batch).square().sum(2).mean(1) / (2.0 * std**2)
        kl = 0.5 * (mu.square() + logvar.exp() - logvar - 1.0).sum(2).mean(1)
        optimizer.zero_grad()
        (error + kl_weight * kl).sum().backward()
        optimizer.step()
        schedule.step()
    for i, network in enumerate(networks):
        network.load_state_dict({name: value[i] for name, value in weights.items()})
    return [network.eval() for network in networks]
