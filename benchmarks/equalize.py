"""What `equalize` costs a training step, for each way to draw z: steps with and without it, in turns.

Written for the house rule of at most 3%: the paper's MLP on batches of 100 binary images. The first steps, which
measure the draw, are counted by themselves.
"""

import argparse
import statistics
import time
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal

from lambda_vae.equalizing import equalize
from lambda_vae.equalizing._equalize import HostEqualizer

LATENT, FEATURES, WIDTH, BATCH = 30, 784, 300, 100


def mlp(*sizes: int) -> nn.Sequential:
    """ReLU between linear layers."""
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class Method(nn.Module):
    """Draws in a method."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(FEATURES, WIDTH, WIDTH, WIDTH, 2 * LATENT), mlp(LATENT, *[WIDTH] * 3, FEATURES)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """Z."""
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, mu and ln sigma^2."""
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        return self.decoder(self.reparameterize(mu, logvar)), mu, logvar


class Rsample(Method):
    """Draws by torch's Normal in the middle of its forward."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, mu and ln sigma^2."""
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        return self.decoder(Normal(mu, torch.exp(0.5 * logvar)).rsample()), mu, logvar


class Inline(Method):
    """Draws by hand in the middle of its forward."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, mu and ln sigma^2."""
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        return self.decoder(mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)), mu, logvar


HOSTS: dict[str, tuple[type[Method], dict[str, Any]]] = {
    "a method": (Method, {"method": "reparameterize"}),
    "Normal.rsample": (Rsample, {"at": "rsample"}),
    "into= and posterior=": (Inline, {"into": "decoder", "posterior": "encoder"}),
}


def trained(model: Method, x: Tensor, steps: int, optimizer: torch.optim.Optimizer) -> float:
    """Process time of so many steps."""
    start = time.process_time()
    for _ in range(steps):
        logits, mu, logvar = model(x)
        loss = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        loss = (loss + 0.5 * (mu.square() + logvar.exp() - logvar - 1).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.process_time() - start


def contender(
    kind: type[Method], told: dict[str, Any] | None
) -> tuple[Method, torch.optim.Optimizer, HostEqualizer | None]:
    """A host, plain or equalized."""
    torch.manual_seed(0)
    model = kind()
    equalizer = None if told is None else equalize(model, LATENT, 1.1, **told)
    return model, torch.optim.Adam(model.parameters(), 1e-3), equalizer


def main() -> None:
    """Print the cost at lambda 1 and above it, from the best rounds and from the median ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    x = (torch.rand(BATCH, FEATURES, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    for name, (kind, told) in HOSTS.items():
        plain, bare_optimizer, _ = contender(kind, None)
        model, optimizer, equalizer = contender(kind, told)
        assert equalizer is not None
        first = [trained(one, x, 100, by) for one, by in ((plain, bare_optimizer), (model, optimizer))]
        for exponent in (1.0, 3.0):
            equalizer.exponent.fill_(exponent)
            bare, ours = [], []
            for _ in range(options.rounds):
                bare.append(trained(plain, x, options.steps, bare_optimizer))
                ours.append(trained(model, x, options.steps, optimizer))
            cost, median = min(ours) / min(bare) - 1, statistics.median(ours) / statistics.median(bare) - 1
            step = 1e3 * min(bare) / options.steps
            print(
                f"{name}, lambda {exponent:.0f}: best round {100 * cost:+.1f}%, median {100 * median:+.1f}% of "
                f"{step:.2f} ms a step; measuring, once: {1e3 * (first[1] - first[0]):.0f} ms"
            )


if __name__ == "__main__":
    main()
