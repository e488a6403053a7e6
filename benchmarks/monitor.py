"""What `CollapseMonitor` costs a training loop: steps with and without it, in turns.

Written for the house rule of at most 3%: the paper's MLP on batches of 100 binary images.
"""

import argparse
import statistics
import time
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_vae.any_vae import CollapseMonitor

LATENT, FEATURES, WIDTH, BATCH = 30, 784, 300, 100


def mlp(*sizes: int) -> nn.Sequential:
    """ReLU between linear layers."""
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def seconds_of(steps: int, x: Tensor, monitor: CollapseMonitor | None) -> float:
    """Process time of so many steps."""
    torch.manual_seed(0)
    encoder, decoder = mlp(FEATURES, WIDTH, WIDTH, WIDTH, 2 * LATENT), mlp(LATENT, WIDTH, WIDTH, WIDTH, FEATURES)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)
    start = time.process_time()
    for _ in range(steps):
        mu, logvar = encoder(x).chunk(2, dim=-1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        if monitor is not None:
            z = monitor(mu, logvar, z)
        loss = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="none").sum(1)
        loss = (loss + 0.5 * (mu.square() + logvar.exp() - logvar - 1).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if monitor is not None:
        monitor.end_epoch()
    return time.process_time() - start


def main() -> None:
    """Print the cost, from the best rounds and from the median ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    x = (torch.rand(BATCH, FEATURES) < 0.3).float()
    seconds_of(20, x, None)
    for every in (1, 8):
        bare, watched = [], []
        for _ in range(options.rounds):
            bare.append(seconds_of(options.steps, x, None))
            watched.append(seconds_of(options.steps, x, CollapseMonitor(LATENT, reduction="mean", every=every)))
        cost, median = min(watched) / min(bare) - 1, statistics.median(watched) / statistics.median(bare) - 1
        step = 1e3 * min(bare) / options.steps
        print(f"every {every}: best round {100 * cost:+.1f}%, median {100 * median:+.1f}% of {step:.2f} ms a step")


if __name__ == "__main__":
    main()
