"""Modules that draw with `Normal.rsample` in the middle of Lightning's training step, as mlcolvar's do."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal
from torch.utils.data import DataLoader

from lambda_vae.equalizing import equalize

L = pytest.importorskip("lightning.pytorch", reason="lightning is an extra")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*`isinstance.treespec, LeafSpec.` is deprecated.*"),
]


class Module(L.LightningModule):
    """Its step takes the batch alone, which Lightning reads off the step's own arguments."""

    def __init__(self, widths=(2,)):
        super().__init__()
        self.encoders = nn.ModuleList([nn.Linear(6, 2 * width) for width in widths])
        self.decoder = nn.Linear(sum(widths), 6)

    def training_step(self, batch):
        laws = [Normal(mu, torch.exp(0.5 * (logvar - 2))) for mu, logvar in self.halves(batch)]
        out = self.decoder(torch.cat([law.rsample() for law in laws], 1))
        kl = sum(torch.distributions.kl_divergence(law, Normal(0.0, 1.0)).sum() for law in laws)
        return ((out - batch).square().sum() + kl) / len(batch)

    def halves(self, batch):
        return [encoder(batch).chunk(2, dim=1) for encoder in self.encoders]

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 1e-2)


def trained(delta=None, widths=(2,)):
    torch.manual_seed(0)
    model = Module(widths)
    found = (
        [] if delta is None else [equalize(model, width, delta, at="rsample", steps_per_epoch=4) for width in widths]
    )
    data = DataLoader(torch.randn(400, 6), batch_size=100)
    L.Trainer(
        max_epochs=4,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model, data)
    return [p.detach() for p in model.parameters()], found


@pytest.mark.parametrize("widths", [(2,), (2, 3)], ids=["one latent", "two latents, two steps around the step"])
def test_lightning_trains_a_module_whose_own_step_is_under_sites(widths):
    plain, _ = trained(widths=widths)
    same, _ = trained(math.inf, widths)
    other, found = trained(1.1, widths)
    assert all(torch.equal(a, b) for a, b in zip(plain, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(plain, other, strict=True))
    assert all(int(one.epoch) == 3 and bool((one.exponent > 1).all()) for one in found)
