"""MVAE as the contract asks it: a product of experts, and a posterior of each modality besides."""

import torch
from host_contract import HostCase
from multivae.models import MVAE, MoPoE, MoPoEConfig, MVAEConfig

from host_cases.multivae import HALVES, built, digits, trained
from lambda_vae.integrations.multivae import diagnose_multivae, equalize_multivae


def train(delta):
    model = built(MVAE, MVAEConfig)
    equalizers = [] if delta is None else [equalize_multivae(model, delta, draw=k, refresh_every=1) for k in range(3)]
    trained(model)
    for equalizer in equalizers[::-1]:
        assert int(equalizer.epoch) == 4
        equalizer.remove()
    return model.state_dict()


def kl():
    model = built(MVAE, MVAEConfig).eval()
    with torch.no_grad():
        own = float(model(digits(), epoch=100).metrics["kldbottom_top"])
    return diagnose_multivae(model, digits(), iw_samples=1).rate, own


def planted():
    model = built(MVAE, MVAEConfig).eval()
    with torch.no_grad():
        for name in HALVES:
            encoder = model.encoders[name]
            encoder.embedding.weight[:2], encoder.embedding.bias[:2] = 0.0, 0.0
            encoder.log_var.weight[:2], encoder.log_var.bias[:2] = 0.0, 30.0
            encoder.log_var.bias[2:] = -4.0
            encoder.embedding.weight[2:] *= 100.0
            model.decoders[name].layers[0][0].weight[:, :2] = 0.0
    return diagnose_multivae(model, digits(slice(0, 400)), iw_samples=1), {0, 1}


def private():
    return built(MoPoE, MoPoEConfig, modalities_specific_dim=dict.fromkeys(HALVES, 2))


CASE = HostCase(
    train=train,
    kl=kl,
    planted=planted,
    refused={
        "modalities_specific_dim=": lambda: diagnose_multivae(private(), digits()),
        "lack that of all modalities": lambda: diagnose_multivae(
            built(MoPoE, MoPoEConfig, subsets=[["top"], ["bottom"]]), digits()
        ),
    },
)
