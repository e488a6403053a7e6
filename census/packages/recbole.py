"""MultiVAE of recbole on MovieLens 100k."""

import logging
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from torch import Tensor

from package import Found, Package

EPOCHS, BATCH, UNSEEN = 15, 64, 94

#: Batches in an epoch of 755 users.
STEPS = 12


@lru_cache(maxsize=1)
def parts(seed: int) -> tuple[Any, Any, list[Tensor]]:
    """Return recbole's config, its loaders of most users' ratings, and two tensors of whole users that nobody sees.

    Args:
        seed: Of recbole's split, and of who is not seen.
    """
    import pandas as pd
    import recbole
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.trainer import trainer as trainers
    from recbole.utils import init_seed

    logging.disable(logging.WARNING)
    trainers.get_tensorboard = lambda logger: MagicMock()  # or it logs into the folder at hand
    ratings = pd.read_csv(Path(recbole.__file__).parent / "dataset_example/ml-100k/ml-100k.inter", sep="\t", dtype=str)
    user, item = ratings.columns[:2]
    users = np.random.default_rng(seed).permutation(sorted(ratings[user].unique()))
    held = users[:UNSEEN], users[UNSEEN : 2 * UNSEEN]
    folder = Path(tempfile.mkdtemp())
    (folder / "ml-100k").mkdir()
    seen = ratings[~ratings[user].isin([*held[0], *held[1]])]
    seen.to_csv(folder / "ml-100k" / "ml-100k.inter", sep="\t", index=False)
    own = {"data_path": str(folder), "use_gpu": False, "show_progress": False, "seed": seed, "eval_step": 0}
    sizes = {"epochs": EPOCHS, "train_batch_size": BATCH, "eval_batch_size": 10**7}
    config = Config("MultiVAE", "ml-100k", config_dict=own | sizes)
    init_seed(seed, True)
    loaders = data_preparation(config, create_dataset(config))
    numbers = loaders[0].dataset.field2token_id["item_id"]
    unseen = []
    for some in held:
        rows = ratings[ratings[user].isin(some) & ratings[item].isin(numbers)]
        x = torch.zeros(len(some), len(numbers))
        x[pd.Categorical(rows[user], categories=some).codes, [numbers[one] for one in rows[item]]] = 1.0
        unseen.append(x)
    return config, loaders, unseen


@torch.no_grad()
def bound(model: Any, x: Tensor) -> float:
    """Return `nll_bound`, without the rest of a report.

    Args:
        model: Trained.
        x: Rows of users.
    """
    from lambda_vae.likelihoods import multinomial

    mu, logvar = model.encoder(torch.nn.functional.normalize(x)).chunk(2, dim=1)
    law = multinomial(model.decoder, logits=True)
    nll = [-law(x, mu + (0.5 * logvar).exp() * torch.randn_like(mu)).mean() for _ in range(16)]
    return float(sum(nll) / len(nll) + 0.5 * (mu**2 + logvar.exp() - logvar - 1.0).sum(1).mean())


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train, and measure.

    Args:
        seed: Of the split, of the weights and of the noise.
        kind: Of the remedy; all but the default draw with the noise that the KL charges.
        setting: "beta" is the KL weight, "warm_up" the epochs in which it rises; all else is of the equalizer.
    """
    from recbole.model.general_recommender import MultiVAE
    from recbole.trainer import Trainer
    from recbole.utils import init_seed

    from lambda_vae.integrations.recbole import diagnose_recbole, equalize_recbole

    config, (train, validation, test), unseen = parts(seed)
    init_seed(seed, True)
    model = MultiVAE(config, train.dataset)
    trainer = Trainer(config, model)
    if setting:
        model.reparameterize = lambda mu, logvar: (
            mu + torch.exp(0.5 * logvar) * torch.randn_like(mu) if model.training else mu
        )
        beta, steps = setting["beta"], STEPS * setting.get("warm_up", 0)
        model.anneal_cap, model.total_anneal_steps = beta, round(steps / beta)  # recbole's weight is steps / total
    lambdas = {name: value for name, value in setting.items() if name not in ("beta", "warm_up")}
    if lambdas:
        equalize_recbole(trainer, **lambdas)
    trainer.fit(train, saved=False, verbose=False)
    model.eval()
    own = [trainer.evaluate(one, load_best_model=False, show_progress=False) for one in (validation, test)]
    of_validation, of_test = ({"NDCG@10": one["ndcg@10"], "Recall@10": one["recall@10"]} for one in own)
    report = diagnose_recbole(model, unseen[1], equalizer=None)
    return Found(
        report=report,
        validation={**of_validation, "bound": bound(model, unseen[0])},
        test={**of_test, "bound": report.nll_bound, "nll_iw": report.nll_iw},
        modules=(model,),
    )


PACKAGE = Package(
    title="recbole MultiVAE",
    package="recbole",
    requires=(
        *("numpy==1.26.4", "scipy==1.13.1", "pandas==2.2.3", "scikit-learn==1.5.2", "tqdm", "colorlog==4.7.2"),
        *("colorama==0.4.4", "pyyaml", "tensorboard", "thop", "tabulate", "plotly", "texttable", "psutil"),
    ),
    no_deps=("recbole==1.2.1",),  # ray, which only its search for hyperparameters needs, is left out
    users="recommenders",
    data=(
        "MovieLens 100k of its wheel: recbole's own split of the ratings of 755 users, 80% train, 10% validation, 10% "
        "test, for its own metrics; 94 and 94 whole users that nobody trains on for the bounds and the codes. 15 "
        "epochs of 12 batches of 64 users, the last one measured (by default one batch of all users an epoch, stopped "
        "after about 100)"
    ),
    latent_dim=64,
    loss="multinomial; noise of 0.01 σ drawn and σ charged, KL weight 0.0009 at the end: a plain autoencoder",
    metric="NDCG@10",
    more=True,
    remedies={
        "default": ({},),
        "own knob": tuple({"beta": beta} for beta in (0.2, 0.5, 1.0)),
        "KL warm-up": ({"beta": 0.2, "warm_up": 2 * EPOCHS // 3},),
        "lambda released": tuple(
            {"delta": 1.1, "release_epochs": EPOCHS // 3, "beta": beta} for beta in (0.2, 0.5, 1.0)
        ),
        "lambda": ({"delta": 1.1, "beta": 0.5},),
    },
    run=run,
    no_lambda="as it is, MultiVAE draws with 0.01 σ, which λ refuses: it goes on where the noise is that of the KL",
    diagnose="diagnose_recbole(model)",
    equalize=(
        "model.reparameterize = lambda mu, logvar: (\n"
        "    mu + torch.exp(0.5 * logvar) * torch.randn_like(mu) if model.training else mu\n"
        ")\n"
        "equalize_recbole(trainer, 1.1, release_epochs=100)"
    ),
    seeds=(0, 1, 2, 3, 4),
)
