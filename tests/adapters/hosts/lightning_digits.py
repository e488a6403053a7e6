"""Digits and a VAE for Lightning's Trainer, as people write them."""

import lightning.pytorch as L
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

QUIET = [
    # Lightning's advice on worker processes and on intervals of logging, and what it says of torch's own schedulers
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint need to be provided.*"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*`isinstance.treespec, LeafSpec.` is deprecated.*"),
]


class LitVAE(L.LightningModule):
    """A VAE as people write it for Lightning; the loss is a mean over the batch."""

    def __init__(self, latent_dim=4, features=64, manual=False, lr=2e-3):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, 2 * latent_dim))
        self.decoder = nn.Sequential(nn.Linear(latent_dim, 128), nn.ReLU(), nn.Linear(128, features))
        self.automatic_optimization = not manual
        self.lr, self.losses, self.draws = lr, [], []

    def encode(self, x):
        return self.encoder(x).chunk(2, dim=-1)

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def step(self, x):
        mu, logvar = self.encode(x)
        z = self.reparameterize(mu, logvar)
        self.draws.append((z.detach(), mu.detach(), logvar.detach()))
        nll = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(1)
        return (nll + 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1)).mean()

    def training_step(self, batch, _):
        loss = self.step(batch[0])
        self.losses.append(float(loss.detach()))
        if self.automatic_optimization:
            return loss
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        return None

    def validation_step(self, batch, _):
        self.log("val_loss", self.step(batch[0]), sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.lr)


def digits():
    return (torch.tensor(load_digits().data) > 7).float()


def loaders(n=256, batch=64):
    x = digits()
    order = torch.Generator().manual_seed(0)
    train = DataLoader(TensorDataset(x[:n]), batch, shuffle=True, generator=order)
    return train, DataLoader(TensorDataset(x[1400:]), 397)


def trainer(*callbacks, epochs=3, **more):
    return L.Trainer(
        max_epochs=epochs,
        callbacks=list(callbacks),
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **{"enable_checkpointing": False} | more,
    )


def fitted(*callbacks, model=None, seed=0, manual=False, epochs=3, **more):
    L.seed_everything(seed, verbose=False)
    model = model or LitVAE(manual=manual)
    trainer(*callbacks, epochs=epochs, **more).fit(model, *loaders())
    return model
