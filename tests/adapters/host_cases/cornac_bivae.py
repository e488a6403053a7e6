"""BiVAECF of cornac, as the contract asks it: latents of the users and of the items, drawn by one method."""

import torch
from cornac.models import BiVAECF
from host_contract import HostCase

from host_cases.cornac import TRAIN
from lambda_vae.integrations.cornac import diagnose_cornac, equalize_cornac


def fitted(delta=None, **options):
    model = BiVAECF(k=4, n_epochs=6, batch_size=32, seed=0, use_gpu=False, **options)
    if delta is None:
        return model.fit(TRAIN)
    with equalize_cornac(model, delta):
        return model.fit(TRAIN)


def trained(delta):
    vae = fitted(delta).bivae
    return vae.state_dict() | {name: getattr(vae, name) for name in ("theta", "beta", "mu_theta", "mu_beta")}


def kl():
    model, ours, own = fitted(), 0.0, 0.0
    x = (torch.tensor(TRAIN.matrix.toarray()) > 0).float()
    for side, rows in (("users", x), ("items", x.T)):
        with torch.no_grad():
            mu, std = getattr(model.bivae, f"encode_{side[:-1]}")(rows)
            nothing = torch.zeros_like(mu[:, :1])  # of which the Poisson's loss is 0
            own += float(model.bivae.loss(nothing, nothing, mu, 0.0, std, 1.0))
        ours += diagnose_cornac(model, TRAIN, side=side, iw_samples=1).rate
    return ours, own


def planted():
    model = fitted()
    with torch.no_grad():
        model.bivae.user_mu.weight *= 4.0
        model.bivae.user_mu.weight[2], model.bivae.user_mu.bias[2] = 0.0, 0.0
        model.bivae.user_std.weight[2], model.bivae.user_std.bias[2] = 0.0, 20.0
    return diagnose_cornac(model, TRAIN, side="users", iw_samples=1), {2}


def without_fit():
    with equalize_cornac(BiVAECF(), 1.1):
        pass


CASE = HostCase(
    train=trained,
    kl=kl,
    planted=planted,
    refused={
        "side is None of a BiVAECF; say side='users'": lambda: diagnose_cornac(fitted(), TRAIN),
        "BiVAECF was not fitted within": without_fit,
        "the data have 9 users, the model 100": lambda: diagnose_cornac(fitted(), TRAIN.matrix[:9], side="items"),
    },
)
