"""CombinedTM as the contract asks it: a hundred documents of two topics."""

import numpy as np
import torch
from contextualized_topic_models.datasets.dataset import CTMDataset
from contextualized_topic_models.models.ctm import CombinedTM, ZeroShotTM
from host_contract import HostCase

from lambda_vae.integrations.ctm import diagnose_ctm, equalize_ctm

WORDS, TOPICS = 30, 4


def documents(count=96, seed=0, words=WORDS):
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(words, 0.1), 3)
    theta = rng.dirichlet(np.full(3, 0.3), count)
    bow = np.stack([rng.multinomial(40, one @ topics) for one in theta]).astype("float32")
    embeddings = (theta @ rng.normal(size=(3, 8))).astype("float32")
    return CTMDataset(embeddings, bow, {k: f"word{k}" for k in range(words)})


def built(kind=CombinedTM, epochs=4, **settings):
    torch.manual_seed(0)
    usual = {"n_components": TOPICS, "batch_size": 32, "num_data_loader_workers": 0, "num_epochs": epochs}
    return kind(bow_size=WORDS, contextual_size=8, **(usual | settings))


def fitted(model):
    torch.manual_seed(1)
    model.fit(documents(), n_samples=1)
    return model


def train(delta):
    model = built()
    equalizer = None if delta is None else equalize_ctm(model, delta, refresh_every=1)
    fitted(model)
    if equalizer is not None:
        assert int(equalizer.epoch) == 4
        equalizer.remove()
    return model.model.state_dict()


def kl():
    model, data = fitted(built(loss_weights={"beta": 3.0})), documents()
    with torch.no_grad():
        prior = model.model.prior_mean, model.model.prior_variance
        x, embeddings = torch.tensor(data.X_bow), torch.tensor(data.X_contextual)
        mu, log_var = model.model.get_posterior(x, embeddings)
        own, _ = model._loss(x, torch.ones(96, WORDS), *prior, mu, log_var.exp(), log_var)
    return diagnose_ctm(model, data, iw_samples=1).rate, float(own.mean())


def planted():
    """Two dimensions at the learned prior's own mean and variance, by the BatchNorms' running statistics."""
    model = fitted(built())
    network = model.model
    with torch.no_grad():
        for norm, value in (
            (network.inf_net.f_mu_batchnorm, network.prior_mean),
            (network.inf_net.f_sigma_batchnorm, network.prior_variance.log()),
        ):
            norm.running_var[:2] = 1e12
            norm.running_mean[:2] = -1e6 * value[:2]
    return diagnose_ctm(model, documents(), iw_samples=1), {0, 1}


def with_variance(value):
    model = fitted(built())
    model.model.prior_variance.data[1] = value
    return model


CASE = HostCase(
    train=train,
    kl=kl,
    planted=planted,
    refused={
        "a DecoderNetwork cannot be equalized": lambda: equalize_ctm(built().model, 1.1),
        "give CTMDataset": lambda: diagnose_ctm(built(), torch.rand(8, WORDS)),
        "have 20 words": lambda: diagnose_ctm(built(), documents(words=20)),
        "label_size=3": lambda: diagnose_ctm(built(ZeroShotTM, label_size=3), documents()),
        "prior_variance is -0.1 in dimension 1": lambda: diagnose_ctm(with_variance(-0.1), documents()),
    },
)
