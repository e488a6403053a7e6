"""BiVAECF of cornac on MovieLens 100k: latents of the users and of the items."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from package import DEFAULT, Found, Package
from packages.cornac import movielens, ranked, warmed

EPOCHS = 50


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train, and measure.

    Args:
        seed: Of the split, of the weights and of the noise.
        kind: Of the remedy.
        setting: Its own.
    """
    from cornac.models import BiVAECF
    from cornac.models.bivaecf import bivae

    from lambda_vae.integrations.cornac import diagnose_cornac, equalize_cornac

    split, unseen = movielens(seed)
    own = {"beta_kl": setting["beta_kl"]} if "beta_kl" in setting else {}
    model = BiVAECF(seed=seed, n_epochs=EPOCHS, use_gpu=False, **own)
    batches = sum(-(-n // model.batch_size) for n in (split.train_set.num_users, split.train_set.num_items))
    within: Any = nullcontext()
    if "delta" in setting:
        within = equalize_cornac(model, **setting)
    elif kind != DEFAULT and not own:
        within = warmed(bivae.BiVAE, 2 * EPOCHS * batches // 3)
    with within:
        model.fit(split.train_set)
    validation, test = ranked(model, split)
    report = diagnose_cornac(model, unseen[1], side="users")
    items = diagnose_cornac(model, split.train_set, side="items", iw_samples=1)
    bound = diagnose_cornac(model, unseen[0], side="users", iw_samples=1).nll_bound
    return Found(
        report=report,
        validation={**validation, "bound": bound},
        test={
            **test,
            "bound": report.nll_bound,
            "nll_iw": report.nll_iw,
            "items active": float(items.active_units),
            "items KL": items.rate,
        },
        modules=(model.bivae,),
    )


PACKAGE = Package(
    title="cornac BiVAECF",
    package="cornac",
    requires=("cornac==3.0.1", "pandas==2.3.3"),
    no_deps=("recbole==1.2.1",),  # for its copy of MovieLens 100k alone
    users="recommenders",
    data=(
        "As for VAECF. The bound is that of unseen users given the trained items; the items' codes are of the items "
        "that were trained on. 50 epochs of the default 100"
    ),
    latent_dim=10,
    loss="Poisson of rates below 1, KL weight 1, users and items in turn",
    metric="NDCG@20",
    more=True,
    remedies={
        DEFAULT: ({},),
        "own knob": ({"beta_kl": 0.2}, {"beta_kl": 0.5}),
        "KL warm-up": ({},),
        "lambda released": ({"delta": 1.1, "release_epochs": EPOCHS // 3},),
        "lambda": ({"delta": 1.1},),
    },
    run=run,
    diagnose="diagnose_cornac(model, split.train_set, side='users')",
    equalize="with equalize_cornac(model, 1.1, release_epochs=33):\n    model.fit(split.train_set)",
)
