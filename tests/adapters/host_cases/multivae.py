"""JMVAE as the contract asks it: the digits' upper and lower halves."""

import tempfile

import torch
from host_contract import HostCase
from multivae.data import IncompleteDataset, MultimodalBaseDataset
from multivae.models import CVAE, JMVAE, CVAEConfig, JMVAEConfig
from multivae.trainers import BaseTrainer, BaseTrainerConfig
from sklearn.datasets import load_digits

from lambda_vae.integrations.multivae import diagnose_multivae, equalize_multivae

HALVES = {"top": (32,), "bottom": (32,)}
X = torch.tensor(load_digits().data / 16).float()


def digits(part=slice(0, 100)):
    return MultimodalBaseDataset({"top": X[part, :32], "bottom": X[part, 32:]})


def built(kind=JMVAE, config=JMVAEConfig, scale=0.2, **settings):
    torch.manual_seed(0)
    noise = {name: {"scale": scale} for name in HALVES}
    usual = {"n_modalities": 2, "latent_dim": 4, "input_dims": HALVES, "decoder_dist_params": noise}
    return kind(config(**(usual | settings)))


def trained(model, epochs=4, data=None):
    config = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(), num_epochs=epochs, per_device_train_batch_size=50, no_cuda=True
    )
    BaseTrainer(model, data or digits(), None, training_config=config).train()
    return model.eval()


def train(delta):
    model = built()
    if delta is not None:
        equalizer = equalize_multivae(model, delta, refresh_every=1)
        trained(model)
        assert int(equalizer.epoch) == 4
        equalizer.remove()
    else:
        trained(model)
    return model.state_dict()


def kl():
    """JMVAE's own: what `beta` more of it adds to the loss, of a model whose warm-up is over."""
    losses = []
    for beta in (1.0, 2.0):
        model = built(beta=beta).eval()
        torch.manual_seed(1)
        with torch.no_grad():
            losses.append(float(model(digits(), epoch=100).loss))
    return diagnose_multivae(model, digits(), iw_samples=1).rate, losses[1] - losses[0]


def planted():
    model = built().eval()
    with torch.no_grad():
        for part, log_var in ((model.joint_encoder.fc1, 0.0), (model.joint_encoder.fc2, -4.0)):
            part.weight[:2], part.bias[:2] = 0.0, 0.0
            part.weight[2:] *= 100.0
            part.bias[2:] = log_var
        for decoder in model.decoders.values():
            decoder.layers[0][0].weight[:, :2] = 0.0
    return diagnose_multivae(model, digits(slice(0, 400)), iw_samples=1), {0, 1}


def masked():
    return IncompleteDataset(digits().data, {name: torch.ones(100, dtype=torch.bool) for name in HALVES})


CASE = HostCase(
    train=train,
    kl=kl,
    planted=planted,
    refused={
        "give MultimodalBaseDataset": lambda: diagnose_multivae(built(), X),
        "modalities are missing": lambda: diagnose_multivae(built(), masked()),
        "have no tensor 'bottom'": lambda: diagnose_multivae(built(), MultimodalBaseDataset({"top": X[:, :32]})),
        "CVAE cannot be equalized": lambda: equalize_multivae(
            CVAE(CVAEConfig(input_dims=HALVES, main_modality="top", conditioning_modalities=["bottom"])), 1.1
        ),
        "equalized already": lambda: [equalize_multivae(model, delta) for model in [built()] for delta in (1.1, 1.2)],
    },
)
