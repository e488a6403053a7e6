"""MultiVAE of recbole, as the contract asks it."""

import torch
from host_contract import HostCase
from hosts.recbole_ratings import parts
from recbole.model.general_recommender import MultiDAE

from lambda_vae.integrations.recbole import diagnose_recbole, equalize_recbole


def trained(delta=None, **settings):
    model, trainer, data = parts(**settings)
    if delta is not None:
        equalize_recbole(trainer, delta)
    trainer.fit(data, saved=False)
    return model.eval()


def kl():
    """recbole's own: what the KL weight adds to the loss, at the mean, where there is no noise."""
    model = trained()
    users, losses = {model.USER_ID: torch.arange(1, model.n_users)}, []
    for model.anneal_cap, model.total_anneal_steps in ((0.0, 0), (1.0, 0)):
        with torch.no_grad():
            losses.append(float(model.calculate_loss(users)))
    return diagnose_recbole(model, iw_samples=1).rate, losses[1] - losses[0]


def planted():
    model = trained()
    with torch.no_grad():
        last = model.encoder[-1]
        last.weight[:4] *= 8.0
        last.weight[[1, 5]], last.bias[[1, 5]] = 0.0, 0.0
    return diagnose_recbole(model, iw_samples=1), {1}


def equalized(**settings):
    return equalize_recbole(parts(**settings)[1], 1.1)


CASE = HostCase(
    train=lambda delta: trained(delta).state_dict(),
    kl=kl,
    planted=planted,
    refused={
        "MultiVAE draws with 0.01 sigma.*model.reparameterize = lambda": lambda: equalized(full_noise=False),
        "was given a MultiVAE, which knows no epochs": lambda: equalize_recbole(parts()[0], 1.1),
        "MultiDAE cannot be equalized": lambda: equalized(model_of=MultiDAE),
        "MultiDAE cannot be diagnosed": lambda: diagnose_recbole(parts(model_of=MultiDAE)[0]),
        "must be rows .users, 41. by the model's item numbers": lambda: diagnose_recbole(
            parts()[0], torch.zeros(3, 40)
        ),
    },
)
