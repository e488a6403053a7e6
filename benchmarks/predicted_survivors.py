"""Whether as many latent dimensions survive in two-layer networks as `predict` says of a linear VAE before training.

Gaussian likelihood of fixed noise, KL weight 1 and 4; noise stds as multiples of the largest at which a first dimension
is predicted to survive. A dimension survives if the variance of its mean code over the data exceeds 0.01. Writes
results/predicted-survivors.md.
"""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from facts import facts, facts_lines
from lambda_vae import load, predict
from lambda_vae.files import write_atomic

SHARES = (1.2, 1.05, 0.95, 0.8, 0.5, 0.25)
ALIVE = 0.01


def linear_data(seed: int = 0) -> Tensor:
    """2,000 examples of 40 features: ten directions of variance 8, 5, 3.1, ... and noise of variance 0.01."""
    generator = torch.Generator().manual_seed(seed)
    strength = 8.0 * 0.62 ** torch.arange(10)
    basis = torch.linalg.qr(torch.randn(40, 10, generator=generator)).Q
    codes = torch.randn(2000, 10, generator=generator) * strength.sqrt()
    return codes @ basis.T + 0.1 * torch.randn(2000, 40, generator=generator)


def grey(name: str, most: int) -> Tensor:
    """The first images of a training part, in [0, 1]."""
    part = load(name).train
    return part.tensor()[part.index()[:most]].float() / 255.0


def clusters(seed: int = 0) -> Tensor:
    """2,000 examples in ten clusters far apart, each in a direction of its own, of 20 features."""
    generator = torch.Generator().manual_seed(seed)
    centres = math.sqrt(10.0) * torch.eye(10, 20)[torch.randint(10, (2000,), generator=generator)]
    return centres + 0.05 * torch.randn(2000, 20, generator=generator)


def survivors(x: Tensor, noise_std: float, beta: float, latent_dim: int, seed: int, steps: int) -> int:
    """Train a VAE of two hidden layers of 128 on both sides, and count the dimensions that survive."""
    return trained(x, (noise_std,), beta, latent_dim, seed, steps)[0]


def trained(
    x: Tensor, noise_stds: tuple[float, ...], beta: float, latent_dim: int, seed: int, steps: int
) -> tuple[int, float]:
    """Train at one noise after another; return the dimensions that survive, and the loss less that of none, in nats."""
    torch.manual_seed(seed)
    features = x.shape[1]
    encoder = nn.Sequential(
        nn.Linear(features, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, 2 * latent_dim)
    )
    decoder = nn.Sequential(
        nn.Linear(latent_dim, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, features)
    )
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, lr=2e-3)
    centre = x.mean(0)
    for noise_std in noise_stds:
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 1e-3 * (1.0 + math.cos(math.pi * step / steps))
            loss, _ = _loss(x[torch.randint(len(x), (128,))] - centre, encoder, decoder, noise_std, beta)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        draws = [_loss(x - centre, encoder, decoder, noise_stds[-1], beta) for _ in range(20)]
    loss = sum(float(loss) for loss, _ in draws) / len(draws)
    collapsed = float((x - centre).square().sum(-1).mean()) / (2.0 * noise_stds[-1] ** 2)
    return int((draws[0][1].var(0) > ALIVE).sum()), loss - collapsed


def _loss(
    batch: Tensor, encoder: nn.Module, decoder: nn.Module, noise_std: float, beta: float
) -> tuple[Tensor, Tensor]:
    mu, logvar = encoder(batch).chunk(2, dim=-1)
    error = (batch - decoder(mu + (0.5 * logvar).exp() * torch.randn_like(mu))).square().sum(-1).mean()
    kl = 0.5 * (mu.square() + logvar.exp() - 1.0 - logvar).sum(-1).mean()
    return error / (2.0 * noise_std**2) + beta * kl, mu


def cluster_lines(seeds: int, steps: int) -> list[str]:
    """Return what clusters do at a noise at which no direction survives: from the start, and from less noise."""
    x = clusters()
    expected = predict(x, noise_std=1.2, latent_dim=4).survivors
    head = (
        "| ten clusters, noise 1.2, 4 latent dimensions | predicted | kept, by seed | loss less the collapsed one's |"
    )
    lines = ["## Where the theory ends", "", head, "| --- | ---: | ---: | ---: |"]
    for name, noises in (("from the start", (1.2,)), ("after noise 0.5 and 0.8", (0.5, 0.8, 1.2))):
        found = [trained(x, noises, 1.0, 4, seed, steps) for seed in range(seeds)]
        kept, apart = ", ".join(str(count) for count, _ in found), ", ".join(f"{loss:+.2f}" for _, loss in found)
        lines.append(f"| {name} | {expected} | {kept} | {apart} |")
        print(lines[-1], flush=True)
    return lines


def rows(
    name: str, x: Tensor, beta: float, latent_dim: int, seeds: int, steps: int
) -> list[tuple[str, int, list[int]]]:
    """Return one line a noise, with what was predicted and what each seed kept."""
    largest = predict(x, kl_weight=beta).noise_std_for(1)
    found = []
    for share in SHARES:
        noise = share * largest
        expected = predict(x, noise_std=noise, kl_weight=beta, latent_dim=latent_dim).survivors
        kept = [survivors(x, noise, beta, latent_dim, seed, steps) for seed in range(seeds)]
        line = f"| {name} | {beta:g} | {noise:.3f} ({share:g}) | {expected} | {', '.join(map(str, kept))} |"
        print(line, flush=True)
        found.append((line, expected, kept))
    return found


def page(sets: Mapping[str, Tensor], latent_dim: int, seeds: int, steps: int) -> str:
    """Return the results page.

    Args:
        sets: Data by name.
        latent_dim: D.
        seeds: Of weights, batches and noise.
        steps: Of Adam.
    """
    found = []
    for name, x in sets.items():
        for beta in (1.0, 4.0) if name == "linear" else (1.0,):
            found += rows(name, x, beta, latent_dim, seeds, steps)
    misses = [abs(kept - expected) for _, expected, trained in found for kept in trained]
    collapsed = [max(trained) for _, expected, trained in found if expected == 0]
    alive = [min(trained) for _, expected, trained in found if expected > 0]
    within = ", ".join(f"{sum(miss <= most for miss in misses)} within {most}" for most in (0, 1, 2))
    sizes = ", ".join(f"{name}: {len(x):,} examples of {x.shape[1]} features" for name, x in sets.items())
    said = (
        f"{latent_dim} latent dimensions, two hidden layers of 128 (tanh) on both sides, {steps:,} steps of Adam with "
        f"batches of 128; the number behind a noise is its share of the largest at which a first dimension is "
        f"predicted to survive. {sizes}."
    )
    outcome = (
        f"**Of {len(misses)} trained models {within} of the prediction; the largest miss is {max(misses)}.** Where "
        f"none was predicted to survive, at most {max(collapsed)} did; where some were, at least {min(alive)} did."
    )
    head = "| data | β | noise std | predicted | kept, by seed |\n| --- | ---: | ---: | ---: | ---: |"
    lines, ending = [line for line, _, _ in found], cluster_lines(seeds, steps)
    return (
        "\n".join(
            ["# Predicted survivors", "", *facts_lines(facts()), "", said, "", outcome, "", head, *lines, "", *ending]
        )
        + "\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    makers = {"linear": linear_data, "digits": lambda: grey("digits", 1442), "mnist": lambda: grey("mnist", 5000)}
    parser.add_argument("--data", nargs="+", choices=makers, default=list(makers))
    parser.add_argument("--latent_dim", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    data = {name: makers[name]() for name in chosen.data}
    text = page(data, chosen.latent_dim, chosen.seeds, chosen.steps)
    write_atomic(chosen.out / "predicted-survivors.md", text)
    print(text)
