"""The loop of the tutorials: DataLoader, sigmoid and binary cross-entropy, Adam as it comes, `.item()` each step."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from contenders import FEATURES, HIDDEN, LATENT_DIM, Images, Pause

__all__ = ["run"]


def _mlp(*widths: int) -> nn.Sequential:
    layers = [layer for n, m in pairwise(widths) for layer in (nn.Linear(n, m), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def run(images: Images, batch_size: int, pause: Pause) -> None:
    """Train; one pause an epoch.

    Args:
        images: uint8 [N, 784].
        batch_size: Examples a step.
        pause: Called between epochs.
    """
    torch.manual_seed(0)
    encoder = nn.Sequential(_mlp(FEATURES, *HIDDEN), nn.ReLU(), nn.Linear(HIDDEN[-1], 2 * LATENT_DIM))
    decoder = nn.Sequential(_mlp(LATENT_DIM, *HIDDEN, FEATURES), nn.Sigmoid())
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    data = TensorDataset(torch.from_numpy(images).float() / 255, torch.zeros(len(images)))
    loader = DataLoader(data, batch_size=batch_size, shuffle=True)
    while True:
        pause()
        total = 0.0
        for grey, _labels in loader:
            x = torch.bernoulli(grey)
            mu, logvar = encoder(x).chunk(2, dim=1)
            z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
            reconstruction = F.binary_cross_entropy(decoder(z), x, reduction="sum")
            kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            loss = (reconstruction + kl) / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
