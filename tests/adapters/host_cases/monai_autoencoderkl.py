"""MONAI: an AutoencoderKL on scikit-learn's digits, with the loss of MONAI's own tutorials, L1 and a small KL."""

import torch
from host_contract import HostCase
from monai.networks.nets import AutoencoderKL, SPADEAutoencoderKL

from host_cases.monai import images
from lambda_vae.integrations.monai import diagnose_monai, equalize_monai

C = 3
SHAPE = {
    "spatial_dims": 2,
    "channels": (8, 16),
    "attention_levels": (False, False),
    "num_res_blocks": 1,
    "norm_num_groups": 8,
    "latent_channels": C,
    "with_encoder_nonlocal_attn": False,
    "with_decoder_nonlocal_attn": False,
}
LOSS = {"loss": "l1", "kl_weight": 1e-3}


def kl_of(mu, sigma):
    """As MONAI's tutorials write it: nats an image."""
    return 0.5 * (mu**2 + sigma**2 - torch.log(sigma**2) - 1).sum(dim=[1, 2, 3]).mean()


def trained(delta=None, epochs=3):
    """After some epochs, in eval mode."""
    torch.manual_seed(0)
    model = AutoencoderKL(**SHAPE)
    equalizer = None if delta is None else equalize_monai(model, delta)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for x in images().split(50):
            out, mu, sigma = model(x)
            loss = torch.nn.functional.l1_loss(out, x) + 1e-3 * kl_of(mu, sigma)
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
        mu, sigma = model.encode(images())
    return diagnose_monai(model, images(), iw_samples=4, **LOSS).rate, float(kl_of(mu, sigma))


def _planted():
    model = trained(epochs=8)
    with torch.no_grad():
        for part in (model.quant_conv_mu, model.quant_conv_log_sigma):
            part.conv.weight[2] = 0.0
            part.conv.bias[2] = 0.0
    return diagnose_monai(model, images(), iw_samples=4, **LOSS), {2}


def _spade():
    return SPADEAutoencoderKL(label_nc=3, **SHAPE)


CASE = HostCase(
    train=_train,
    kl=_kl,
    planted=_planted,
    refused={
        "decoder wants a segmentation": lambda: diagnose_monai(_spade(), images(), **LOSS),
        "reduction is 'none'": lambda: diagnose_monai(trained(epochs=0), images(), reduction="none", **LOSS),
    },
)
