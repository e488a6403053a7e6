"""MONAI: a VarAutoEncoder on scikit-learn's digits."""

import torch
from host_contract import HostCase
from monai.networks.nets import UNet, VarAutoEncoder
from sklearn.datasets import load_digits

from lambda_vae.integrations.monai import diagnose_monai, equalize_monai

D = 4
LOSS = {"loss": "bce", "kl_weight": 1.0, "reduction": "sum"}


def images(count=200):
    """Digits in [0, 1], [N, 1, 8, 8]."""
    return torch.from_numpy(load_digits().images[:count, None] / 16).float()


def network():
    """Small, and not trained."""
    torch.manual_seed(0)
    return VarAutoEncoder(2, (1, 8, 8), 1, D, channels=(4, 8), strides=(1, 2), use_mean_at_inference=True)


def trained(delta=None, epochs=3):
    """After some epochs of the loss of MONAI's own tutorial, with a KL weight of 1; in eval mode."""
    model = network()
    equalizer = None if delta is None else equalize_monai(model, delta)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(epochs):
        for x in images().split(50):
            out, mu, logvar, _ = model(x)
            loss = torch.nn.functional.binary_cross_entropy(out, x, reduction="sum")
            loss = loss - 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if equalizer is not None:
            equalizer.end_epoch()
    return model.eval()


def _train(delta):
    return {name: value for name, value in trained(delta).state_dict().items() if "equalizer" not in name}


def _kl():
    model = trained()
    with torch.no_grad():
        _, mu, logvar, _ = model(images())
    return diagnose_monai(model, images(), **LOSS).rate, float(-0.5 * (1 + logvar - mu**2 - logvar.exp()).sum() / 200)


def _planted():
    model = trained(epochs=20)
    with torch.no_grad():
        for part in (model.mu, model.logvar):
            part.weight[1] = 0.0
            part.bias[1] = 0.0
    return diagnose_monai(model, images(), **LOSS), {1}


CASE = HostCase(
    train=_train,
    kl=_kl,
    planted=_planted,
    refused={
        "loss is 'ssim'": lambda: diagnose_monai(network(), images(), loss="ssim", kl_weight=1.0),
        "kl_weight 0.0": lambda: diagnose_monai(network(), images(), loss="bce", kl_weight=0.0),
        "the model is a UNet": lambda: equalize_monai(UNet(2, 1, 1, (4, 8), (2,)), 1.1),
    },
)
