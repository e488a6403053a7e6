"""VAECF of cornac, as the contract asks it."""

import torch
from cornac.data import Dataset
from cornac.models import MF, VAECF
from host_contract import HostCase
from hosts.ratings import triples

from lambda_vae.integrations.cornac import diagnose_cornac, equalize_cornac

TRAIN = Dataset.from_uir(triples())


def fitted(delta=None, **options):
    model = VAECF(k=4, n_epochs=6, batch_size=32, seed=0, **options)
    if delta is None:
        return model.fit(TRAIN)
    with equalize_cornac(model, delta):
        return model.fit(TRAIN)


def kl():
    model = fitted()
    x = (torch.tensor(TRAIN.matrix.toarray()) > 0).float()
    with torch.no_grad():
        mu, logvar = model.vae.encode(x)
        same = torch.ones_like(x[:, :1])  # of log 1 = 0 is all likelihood
        own = model.vae.loss(same, same, mu, logvar, 1.0)
    return diagnose_cornac(model, TRAIN, iw_samples=1).rate, float(own)


def planted():
    model = fitted()
    with torch.no_grad():
        for head, bias in ((model.vae.enc_mu, 0.0), (model.vae.enc_logvar, 0.0)):
            head.weight[[1, 3]], head.bias[[1, 3]] = 0.0, bias
        model.vae.enc_mu.weight[[0, 2]] *= 4.0
        model.vae.enc_logvar.bias[[0, 2]] = -1.0
    return diagnose_cornac(model, TRAIN, iw_samples=1), {1, 3}


def few_items():
    return diagnose_cornac(fitted(), TRAIN.matrix[:, :7])


def other_numbers():
    return diagnose_cornac(fitted(), Dataset.from_uir(triples()[::-1]))


def fitted_before():
    with equalize_cornac(fitted(), 1.1):
        pass


CASE = HostCase(
    train=lambda delta: fitted(delta).vae.state_dict(),
    kl=kl,
    planted=planted,
    refused={
        "MF cannot be diagnosed: it is none of cornac's VAECF": lambda: diagnose_cornac(MF(), TRAIN),
        "VAECF is not fitted": lambda: diagnose_cornac(VAECF(), TRAIN),
        "the data have 7 items, the model 40": few_items,
        "is number .* of the data, .* of the model": other_numbers,
        "has its network already": fitted_before,
        "leave side out": lambda: diagnose_cornac(fitted(), TRAIN, side="items"),
    },
)
