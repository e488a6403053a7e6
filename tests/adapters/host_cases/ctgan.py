"""ctgan's TVAE as the contract asks it."""

import copy
import math
import warnings

import numpy as np
import pandas as pd
import torch
from ctgan import CTGAN, TVAE
from ctgan.synthesizers.tvae import _loss_function
from host_contract import HostCase

from lambda_vae.integrations.ctgan import diagnose_ctgan, equalize_ctgan

ROWS, CATEGORIES = 300, ["colour", "size"]
PLANTED = {1, 3}


def table():
    """A skewed number, of components that overlap, a category that goes with it, and one of its own."""
    rng = np.random.default_rng(0)
    side = rng.random(ROWS) < 0.5
    return pd.DataFrame(
        {
            "number": 2.0 * side + rng.exponential(size=ROWS),
            "colour": np.where(side, "red", "blue"),
            "size": rng.choice(["s", "m", "l"], ROWS),
        }
    )


def fitted(delta, epochs=4, **settings):
    """A model after a short training; without lambda-vae where delta is None."""
    torch.manual_seed(0)
    np.random.seed(0)
    model = TVAE(embedding_dim=4, epochs=epochs, batch_size=100, enable_gpu=False, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if delta is None:
            model.fit(table(), CATEGORIES)
        else:
            with equalize_ctgan(model, delta):
                model.fit(table(), CATEGORIES)
    return model


def train(delta):
    return dict(fitted(delta).decoder.state_dict())


def kl():
    model = fitted(math.inf)
    x = torch.from_numpy(copy.deepcopy(model.transformer).transform(table())).float()
    with torch.no_grad():
        mu, _, logvar = model.encoder(x)
        scores, sigma = model.decoder(mu)
        own = _loss_function(scores, x, sigma, mu, logvar, model.transformer.output_info_list, model.loss_factor)[1]
    return float(diagnose_ctgan(model, table()).kl.sum()), float(own)


def planted():
    model = fitted(math.inf, epochs=60, loss_factor=50)
    with torch.no_grad():
        for k in PLANTED:
            for part in (model.encoder.fc1, model.encoder.fc2):
                part.weight[k] = part.bias[k] = 0.0
            model.decoder.seq[0].weight[:, k] = 0.0
    return diagnose_ctgan(model, table()), PLANTED


def never_fitted():
    with equalize_ctgan(TVAE(enable_gpu=False), 1.1):
        pass


def another():
    with equalize_ctgan(TVAE(embedding_dim=4, enable_gpu=False), 1.1):
        fitted(None)


def gan():
    with equalize_ctgan(CTGAN(enable_gpu=False), 1.1):
        pass


def low():
    with equalize_ctgan(TVAE(enable_gpu=False), 0.9):
        pass


def fitted_again():
    model = fitted(math.inf)
    model.fit(table(), CATEGORIES)
    diagnose_ctgan(model, table())


CASE = HostCase(
    train=train,
    kl=kl,
    planted=planted,
    refused={
        "TVAE throws its encoder away when `fit` ends": lambda: diagnose_ctgan(fitted(None), table()),
        "throws its encoder away when": fitted_again,
        "the model is a CTGAN; it must be ctgan's TVAE": gan,
        "this TVAE is not fitted; call its `fit` first": lambda: diagnose_ctgan(TVAE(enable_gpu=False), table()),
        "was not fitted within equalize_ctgan; call its": never_fitted,
        "this TVAE was not fitted within equalize_ctgan": another,
        "delta is 0.9": low,
        "the table has no column 'size'": lambda: diagnose_ctgan(fitted(math.inf), table().drop(columns="size")),
        "column 'colour' holds a level that was not there in `fit`, in 300 of 300": (
            lambda: diagnose_ctgan(fitted(math.inf), table().assign(colour="green"))
        ),
        "cannot be read as the one in `fit` was": (
            lambda: diagnose_ctgan(fitted(math.inf), table().assign(number="three"))
        ),
        "the table is a ndarray; the model was fitted with a DataFrame": (
            lambda: diagnose_ctgan(fitted(math.inf), table().to_numpy())
        ),
    },
)
