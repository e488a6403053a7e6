"""vamb's VAE with its defaults on made-up contigs; it draws with sigma = 1, so that there is no lambda."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from loguru import logger
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from vamb.cluster import ClusterGenerator
from vamb.encode import VAE, make_dataloader

from lambda_vae.any_vae import diagnose
from package import Found

GENOMES, SAMPLES, EPOCHS = 150, 3, 100


class WarmUp(VAE):
    """The KL weight rises in a straight line over two thirds of the epochs."""

    def trainepoch(self, data_loader: Any, epoch: int, optimizer: Any, batchsteps: Any) -> Any:
        """Train an epoch at its weight.

        Args:
            data_loader: vamb's.
            epoch: From 0.
            optimizer: vamb's.
            batchsteps: vamb's.
        """
        self.beta = 200.0 / min(1.0, 1.5 * (epoch + 1) / EPOCHS)
        return super().trainepoch(data_loader, epoch, optimizer, batchsteps)


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train on 2,400 contigs of 150 genomes; bins of 75 genomes choose a setting, those of the others report.

    Args:
        seed: Of the weights and draws.
        kind: Of the remedy.
        setting: beta.
    """
    logger.remove()
    genome, *table = _contigs()
    unseen = np.arange(len(genome)) % 5 == 0
    vamb = make_dataloader(*table).dataset.tensors
    model = (WarmUp if kind == "KL warm-up" else VAE)(SAMPLES, beta=setting.get("beta", 200.0), seed=seed)
    seen = TensorDataset(*(part[torch.from_numpy(~unseen)] for part in vamb))
    batches = DataLoader(seen, batch_size=256, shuffle=True, drop_last=True)  # as vamb's, in this process
    model.trainmodel(batches, nepochs=EPOCHS, batchsteps=[25, 75])
    model.eval()
    x = torch.cat([part[torch.from_numpy(unseen)] for part in vamb[:3]], 1)

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        mu = model._encode(x)
        return mu, torch.zeros_like(mu)

    report = diagnose(encode, x, takes="logvar")
    codes = encode(torch.cat(seen.tensors[:3], 1))[0].detach().numpy()
    found = _recovered(codes, genome[~unseen], table[2][~unseen])
    parts = {"v": range(GENOMES // 2), "t": range(GENOMES // 2, GENOMES)}
    measured = {part: {"genomes recovered": float(len(found & set(of)))} for part, of in parts.items()}
    return Found(report, {**measured["v"]}, {**measured["t"]}, (model,))


def _contigs() -> tuple[Any, ...]:
    """Genome, abundance [N, 3], tetranucleotide frequencies [N, 103] and lengths of 3,000 contigs."""
    made = np.random.RandomState(0)
    genome = made.randint(0, GENOMES, 3000)
    lengths = np.exp(made.normal(8.5, 0.8, 3000)).clip(2000, 200_000).astype(int)
    depths = np.exp(made.normal(1.0, 1.5, (GENOMES, SAMPLES)))[genome]
    abundance = made.poisson(depths * lengths[:, None] / 150) * 150 / lengths[:, None]
    basis = made.normal(size=(12, 103))  # of composition, which genomes share
    profile = (made.normal(size=(GENOMES, 12)) @ basis)[genome] * 0.02
    tnf = profile + made.normal(size=(3000, 103)) * 5 / np.sqrt(lengths)[:, None]
    return genome, abundance.astype(np.float32), tnf.astype(np.float32), lengths


def _recovered(codes: Any, genome: Any, lengths: Any) -> set[int]:
    """The genomes of which vamb's own clusters hold 90% of all bases at a precision of 95%, its near-complete bins."""
    found = set()
    for cluster in ClusterGenerator(codes.copy(), lengths):
        bases = np.bincount(genome[cluster.members], weights=lengths[cluster.members], minlength=GENOMES)
        best = int(bases.argmax())
        if bases[best] >= 0.95 * bases.sum() and bases[best] >= 0.9 * lengths[genome == best].sum():
            found.add(best)
    return found
