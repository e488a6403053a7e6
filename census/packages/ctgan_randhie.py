"""ctgan's TVAE on the visits to doctors of the RAND health insurance experiment, a table with more numbers."""

from dataclasses import replace
from functools import partial

from packages.ctgan import EPOCHS, TEST, TRAIN, Table, run
from packages.ctgan import PACKAGE as OF_FAIR


def randhie() -> Table:
    """Return 20,190 years of people."""
    import statsmodels.api as sm

    table = sm.datasets.randhie.load_pandas().data
    return table, ["lncoins", "idp", "hlthg", "hlthf", "hlthp"]


PACKAGE = replace(
    OF_FAIR,
    title="ctgan TVAE, RAND",
    data=(
        f"statsmodels 0.15.0 `randhie`, 10 columns, of 20,190 rows {TRAIN:,} to train on (4 batches an epoch), "
        f"{TEST:,} to choose by and {TEST:,} to test; {EPOCHS} epochs"
    ),
    remedies={
        "default": ({},),
        "own knob": ({"loss_factor": 1},),
        "KL warm-up": ({},),
        "lambda released": ({"delta": 1.1},),
    },
    run=partial(run, randhie),
)
