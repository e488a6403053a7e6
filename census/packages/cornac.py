"""VAECF of cornac on MovieLens 100k."""

import importlib.util
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from package import DEFAULT, Found, Package

EPOCHS, UNSEEN = 100, 94


def movielens(seed: int) -> tuple[Any, list[Any]]:
    """Return cornac's split of the ratings of most users, and what nobody trains on: two matrices of whole users.

    Args:
        seed: Of both.
    """
    import pandas as pd
    from cornac.data import Dataset
    from cornac.eval_methods import RatioSplit

    folder = Path(str(importlib.util.find_spec("recbole").submodule_search_locations[0]))
    ratings = pd.read_csv(folder / "dataset_example/ml-100k/ml-100k.inter", sep="\t").iloc[:, :3]
    triples = [(str(u), str(i), float(r)) for u, i, r in ratings.itertuples(index=False)]
    users = np.random.default_rng(seed).permutation(sorted({u for u, _, _ in triples}))
    held = [set(users[:UNSEEN]), set(users[UNSEEN : 2 * UNSEEN])]
    split = RatioSplit(
        [one for one in triples if not any(one[0] in some for some in held)], test_size=0.2, val_size=0.1, seed=seed
    )
    known = split.train_set.iid_map
    unseen = []
    for some in held:
        rows = [one for one in triples if one[0] in some and one[1] in known]
        unseen.append(Dataset.build(rows, global_uid_map=OrderedDict(), global_iid_map=OrderedDict(known)))
    return split, unseen


def ranked(model: Any, split: Any) -> tuple[dict[str, float], dict[str, float]]:
    """Return cornac's own measures of its validation and test ratings.

    Args:
        model: Fitted.
        split: cornac's.
    """
    from cornac.eval_methods.base_method import ranking_eval
    from cornac.metrics import NDCG, Recall

    measures = {"NDCG@20": NDCG(k=20), "Recall@20": Recall(k=20)}
    parts = {"test_set": split.val_set}, {"test_set": split.test_set, "val_set": split.val_set}
    found = [ranking_eval(model, [*measures.values()], split.train_set, **part)[0] for part in parts]
    validation, test = ({name: float(value) for name, value in zip(measures, one, strict=True)} for one in found)
    return validation, test


@contextmanager
def warmed(owner: type, steps: int) -> Iterator[None]:
    """Have the KL weight, the last argument of a class's loss, rise in a straight line over so many calls.

    Args:
        owner: The network's class.
        steps: Calls.
    """
    host: Callable[..., Any] = owner.loss  # type: ignore[attr-defined]
    calls = itertools.count(1)
    owner.loss = lambda *args: host(*args[:-1], args[-1] * min(1.0, next(calls) / steps))  # type: ignore[attr-defined]
    try:
        yield
    finally:
        owner.loss = host  # type: ignore[attr-defined]


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train, and measure.

    Args:
        seed: Of the split, of the weights and of the noise.
        kind: Of the remedy.
        setting: Its own.
    """
    from cornac.models import VAECF
    from cornac.models.vaecf import vaecf

    from lambda_vae.integrations.cornac import diagnose_cornac, equalize_cornac

    split, unseen = movielens(seed)
    model = VAECF(seed=seed, n_epochs=EPOCHS, **({"beta": setting["beta"]} if "beta" in setting else {}))
    batches = -(-split.train_set.num_users // model.batch_size)
    within: Any = nullcontext()
    if "delta" in setting:
        within = equalize_cornac(model, **setting)
    elif kind != DEFAULT and "beta" not in setting:
        within = warmed(vaecf.VAE, 2 * EPOCHS * batches // 3)
    with within:
        model.fit(split.train_set)
    validation, test = ranked(model, split)
    report = diagnose_cornac(model, unseen[1])
    bound = diagnose_cornac(model, unseen[0], iw_samples=1).nll_bound
    return Found(
        report=report,
        validation={**validation, "bound": bound},
        test={**test, "bound": report.nll_bound, "nll_iw": report.nll_iw},
        modules=(model.vae,),
    )


PACKAGE = Package(
    title="cornac VAECF",
    package="cornac",
    requires=("cornac==3.0.1", "pandas==2.3.3"),
    no_deps=("recbole==1.2.1",),  # for its copy of MovieLens 100k alone
    users="recommenders",
    data=(
        "MovieLens 100k of recbole 1.2.1's wheel: cornac's RatioSplit of the ratings of 755 users, 70% train, 10% "
        "validation, 20% test, for its own metrics; 94 and 94 whole users that nobody trains on for the bounds and the "
        "codes. All defaults, 100 epochs"
    ),
    latent_dim=10,
    loss="multinomial without its coefficient, KL weight 1",
    metric="NDCG@20",
    more=True,
    remedies={
        DEFAULT: ({},),
        "own knob": ({"beta": 0.2}, {"beta": 0.5}, {"beta": 2.0}),
        "KL warm-up": ({},),
        "lambda released": tuple({"delta": delta, "release_epochs": EPOCHS // 3} for delta in (1.05, 1.1, 1.2)),
        "lambda": ({"delta": 1.1},),
    },
    run=run,
    diagnose="diagnose_cornac(model, split.train_set)",
    equalize="with equalize_cornac(model, 1.1, release_epochs=33):\n    model.fit(split.train_set)",
    seeds=(0, 1, 2, 3, 4),
)
