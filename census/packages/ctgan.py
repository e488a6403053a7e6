"""ctgan's TVAE on the answers to a magazine's survey: what its sample() is worth, and what its decoder is."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from package import CHECK, Found, Package

EPOCHS = 300  # TVAE's default
TRAIN, TEST = 2000, 1500

#: A table as TVAE gets it, and which of its columns are categories.
Table = tuple[Any, list[str]]


def fair() -> Table:
    """Return 6,366 women's answers on their marriages."""
    import statsmodels.api as sm

    table = sm.datasets.fair.load_pandas().data
    return table, [column for column in table if column not in ("affairs", "yrs_married")]


def run(load: Callable[[], Table], seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train a TVAE with a remedy and measure it.

    Args:
        load: Of the table.
        seed: Of the split; numpy's and torch's generators have it already.
        kind: Of the remedy.
        setting: Of it.
    """
    import joblib
    from ctgan import TVAE

    from lambda_vae.integrations.ctgan import diagnose_ctgan

    table, categories = load()
    table = table.sample(frac=1.0, random_state=seed)[: TRAIN + 2 * TEST].reset_index(drop=True)
    train, validation, test = table[:TRAIN], table[TRAIN : TRAIN + TEST], table[TRAIN + TEST :]
    own = setting if kind == "own knob" else {}
    model = TVAE(epochs=EPOCHS, enable_gpu=False, **own)
    # Longer tables are transformed in processes of their own, on which no seed has a hold.
    with joblib.parallel_config(backend="sequential"):
        with _remedy(model, kind, setting, -(-TRAIN // model.batch_size)):
            model.fit(train, categories)
    report = diagnose_ctgan(model, test)
    ways = _sampled(model, seed)
    chosen_by = _quality(validation.reset_index(drop=True), ways["sample()"], categories)
    measures = {
        f"{name}, {way}": value for way, of in ways.items() for name, value in _quality(test, of, categories).items()
    }
    return Found(
        report=report,
        validation={
            "pair trends, sample()": chosen_by["pair trends"],
            "bound": diagnose_ctgan(model, validation[:500], iw_samples=1).nll_bound,
        },
        test={
            **measures,
            "pair trends, training rows": _quality(test, train, categories)["pair trends"],
            "bound": report.nll_bound,
            "nll_iw": report.nll_iw,
        },
        modules=(model.encoder, model.decoder),
    )


@contextmanager
def _remedy(model: Any, kind: str, setting: Mapping[str, Any], batches: int) -> Iterator[None]:
    from lambda_vae.integrations.ctgan import equalize_ctgan

    if kind.startswith("lambda") or kind == CHECK:
        release = {"release_epochs": EPOCHS // 3} if kind == "lambda released" else {}
        with equalize_ctgan(model, **setting, **release):
            yield
    else:
        with _keeping(model), _warming_up(2 * EPOCHS * batches // 3) if kind == "KL warm-up" else nullcontext():
            yield


@contextmanager
def _keeping(model: Any) -> Iterator[None]:
    """The encoder of a plain `fit`, which throws it away; nothing else of lambda-vae is near."""
    import torch
    from ctgan.synthesizers.tvae import Encoder

    made, init = [], Encoder.__init__

    def keep(self: Any, *args: Any) -> None:
        init(self, *args)
        made.append(self)

    Encoder.__init__ = keep
    try:
        yield
    finally:
        Encoder.__init__ = init
    model.encoder = made[0].eval()
    model.encoder.trained_with = (model.decoder, torch.ones(model.embedding_dim), math.inf)


@contextmanager
def _warming_up(steps: int) -> Iterator[None]:
    """A KL weight that rises in a straight line to 1 over so many steps, as long as lambda would act."""
    from ctgan.synthesizers import tvae

    host, calls = tvae._loss_function, itertools.count(1)

    def warming(*args: Any) -> Any:
        reconstruction, kl = host(*args)
        return reconstruction, min(1.0, next(calls) / steps) * kl

    tvae._loss_function = warming
    try:
        yield
    finally:
        tvae._loss_function = host


def _sampled(model: Any, seed: int) -> dict[str, Any]:
    """As many rows as there were to train on, by sample() as it is, and with its categories drawn."""
    from lambda_vae.integrations.ctgan import drawn_categories

    model.set_random_state(seed)
    taken = model.sample(TRAIN)
    model.set_random_state(seed)
    with drawn_categories(model):
        return {"sample()": taken, "drawn": model.sample(TRAIN)}


def _quality(real: Any, synthetic: Any, categories: Sequence[str]) -> dict[str, float]:
    from sdmetrics.reports import QualityReport

    kinds = {column: {"sdtype": "categorical" if column in categories else "numerical"} for column in real}
    report = QualityReport()
    tables = ({"t": one.reset_index(drop=True)} for one in (real, synthetic))
    report.generate(*tables, {"tables": {"t": {"columns": kinds}}}, verbose=False)
    score = {row.Property: float(row.Score) for row in report.get_properties().itertuples()}
    return {"pair trends": score["Column Pair Trends"], "column shapes": score["Column Shapes"]}


PACKAGE = Package(
    title="ctgan TVAE",
    package="ctgan",
    requires=("ctgan==0.12.1", "sdmetrics==0.32.0", "statsmodels==0.15.0", "pandas==2.3.3"),
    users="tabular data; SDV's TVAESynthesizer",
    data=(
        f"statsmodels 0.15.0 `fair`, 9 columns, of 6,366 rows {TRAIN:,} to train on (4 batches an epoch), {TEST:,} to "
        f"choose by and {TEST:,} to test; {EPOCHS} epochs"
    ),
    latent_dim=128,
    loss=(
        "categories, and Gaussian numbers with learned σ (0.01 to 1) in a component of their column, × loss_factor 2: "
        "a KL weight of 1/2"
    ),
    metric="pair trends, sample()",
    more=True,
    remedies={
        "default": ({},),
        "own knob": ({"loss_factor": 1}, {"embedding_dim": 16}),
        "KL warm-up": ({},),
        "lambda released": ({"delta": 1.1}, {"delta": 1.2}),
        "lambda": ({"delta": 1.1},),
    },
    run=partial(run, fair),
    diagnose=(
        "with equalize_ctgan(model, math.inf): model.fit(train, categories)  # keeps the encoder\n"
        "print(diagnose_ctgan(model, test))"
    ),
    equalize=(
        "with equalize_ctgan(model, 1.1, release_epochs=100): model.fit(train, categories)\n"
        "with drawn_categories(model): synthetic = model.sample(1000)"
    ),
)
