"""The VAE of pyod on digits of which one kind is rare, beside its own generated data and scikit-learn's tumours."""

import itertools
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from package import DEFAULT, Found, Package

Numbers = NDArray[Any]
Part = tuple[Numbers, Numbers]


def parted(x: Numbers, outlier: Numbers, chance: np.random.Generator) -> tuple[Part, Part, Part]:
    """Return train, validation and test: half, a quarter and a quarter of the inliers, and 5% outliers in train.

    Args:
        x: [N, F].
        outlier: 1 or 0 of each row.
        chance: The split's.
    """
    inside, outside = (chance.permutation(np.flatnonzero(outlier == kind)) for kind in (0, 1))
    half, few = len(inside) // 2, len(inside) // 40
    cut, rest = half + (len(inside) - half) // 2, few + (len(outside) - few) // 2
    rows = (
        np.concatenate([inside[:half], outside[:few]]),
        np.concatenate([inside[half:cut], outside[few:rest]]),
        np.concatenate([inside[cut:], outside[rest:]]),
    )
    return tuple((x[one], outlier[one]) for one in rows)  # type: ignore[return-value]


def digits(seed: int) -> tuple[Part, Part, Part]:
    """Return the parts of the digits, of which `seed` is the rare one; of pixels that a tenth of the rows have ink in.

    pyod divides a feature that is constant in the training rows by 1e-8, so that one such pixel would decide all.

    Args:
        seed: Of the split, and the rare digit.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return parted(x[:, (x > 0).mean(0) > 0.1], (y == seed).astype(int), np.random.default_rng(seed))


def tumours(seed: int) -> tuple[Part, Part, Part]:
    """Return the parts of scikit-learn's breast cancer data, malignant ones being the outliers.

    Args:
        seed: Of the split.
    """
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return parted(x, 1 - y, np.random.default_rng(seed))


def generated(seed: int) -> tuple[Part, Part]:
    """Return train and test of pyod's own `generate_data`.

    Args:
        seed: Its.
    """
    from pyod.utils.data import generate_data

    x, unseen, y, outlier = generate_data(n_train=1000, n_test=1000, n_features=20, offset=1, random_state=seed)
    return (x, y), (unseen, outlier)


def fitted(x: Numbers, seed: int, setting: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the model, and the equalizer where there is one.

    Args:
        x: To train on.
        seed: Of pyod.
        setting: Of pyod's VAE, and delta, release_epochs or warm_up.
    """
    from pyod.models.vae import VAE

    from lambda_vae.integrations.pyod import equalize_pyod

    asked = dict(setting)
    own = {name: asked.pop(name) for name in ("beta", "capacity", "epoch_num") if name in asked}
    warm_up = asked.pop("warm_up", None)
    model = VAE(verbose=0, random_state=seed, **own)
    if warm_up is not None:
        model.epoch_update = warmed(model, model.beta, warm_up)
        model.epoch_update()
    within: Any = equalize_pyod(model, **asked) if "delta" in asked else nullcontext()
    with within as equalizer:
        model.fit(x)
    return model, equalizer


def warmed(model: Any, beta: float, epochs: int) -> Callable[[], None]:
    """Return what pyod calls after an epoch: the KL weight of the next, rising in a straight line.

    Args:
        model: pyod's.
        beta: Where it ends.
        epochs: That it rises over.
    """
    past = itertools.count()

    def update() -> None:
        model.beta = beta * min(1.0, next(past) / epochs)

    return update


def scored(model: Any, part: Part) -> dict[str, float]:
    """Return pyod's own measures, of 8 draws of its scores, which are random.

    Args:
        model: Fitted.
        part: Rows, and which are outliers.
    """
    from pyod.utils.utility import precision_n_scores
    from sklearn.metrics import roc_auc_score

    x, outlier = part
    scores = [model.decision_function(x) for _ in range(8)]
    return {
        "ROC AUC": float(np.mean([roc_auc_score(outlier, one) for one in scores])),
        "precision@n": float(np.mean([precision_n_scores(outlier, one) for one in scores])),
    }


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train, and measure.

    Args:
        seed: Of the split, of the weights and of the noise; the rare digit.
        kind: Of the remedy.
        setting: Its own.
    """
    from lambda_vae.integrations.pyod import diagnose_pyod

    train, validation, test = digits(seed)
    model, equalizer = fitted(train[0], seed, setting)
    fits = float((model.decision_scores_**2).mean() / train[0].shape[1]) ** 0.5
    unseen = [part[0][part[1] == 0] for part in (validation, test)]
    bounds = [diagnose_pyod(model, x, std=fits) for x in unseen]
    more = {}
    for name, (seen, new) in {"tumours": tumours(seed)[::2], "generated": generated(seed)}.items():
        other, _ = fitted(seen[0], seed, setting)
        more[f"ROC AUC, {name}"] = scored(other, new)["ROC AUC"]
    report = diagnose_pyod(model, unseen[1], equalizer=equalizer)
    return Found(
        report=report,
        validation={**scored(model, validation), "bound": bounds[0].nll_bound},
        test={
            **scored(model, test),
            **more,
            "bound": bounds[1].nll_bound,
            "nll_iw": bounds[1].nll_iw,
            "noise that fits": fits,
            "bound at the loss's noise": report.nll_bound,
        },
        modules=(model.model,),
    )


def on(beta: float, **more: Any) -> dict[str, Any]:
    """The KL switched on at a weight."""
    return {"beta": beta, "capacity": 1e9, **more}


PACKAGE = Package(
    title="pyod VAE",
    package="pyod",
    requires=("pyod==3.6.7", "tqdm==4.67.1"),
    users="anomaly detection",
    data=(
        "digits of scikit-learn, of which one kind, 0 to 2 by seed, is rare: half of the others and 5% of it to train, "
        "48 pixels that a tenth of the rows have ink in; bounds of unseen rows of the others, at the noise that fits "
        "the training rows. Beside it ROC AUC of scikit-learn's breast cancer data and of pyod's generate_data "
        "(1,000 x 20). All defaults, 30 epochs"
    ),
    latent_dim=2,
    loss="no KL, and so no noise; with capacity raised, a noise variance of beta F / 2 of standardised features",
    metric="ROC AUC",
    more=True,
    remedies={
        DEFAULT: ({},),
        "own knob": (on(1.0), on(0.1), on(0.02), {"epoch_num": 100}),
        "KL warm-up": (on(0.1, warm_up=20), on(0.02, warm_up=20)),
        "lambda released": (
            {"delta": 1.05, "release_epochs": 10},
            {"delta": 1.1, "release_epochs": 10},
            on(0.02, delta=1.1, release_epochs=10),
            {"epoch_num": 100, "delta": 1.1, "release_epochs": 33},
        ),
        "lambda": ({"delta": 1.1}, on(0.02, delta=1.1)),
    },
    run=run,
    diagnose="diagnose_pyod(model, x)",
    equalize="with equalize_pyod(model, delta=1.1, release_epochs=10):\n    model.fit(x)",
)
