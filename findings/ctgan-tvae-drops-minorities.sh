#!/usr/bin/env bash
# ctgan 0.12.1: TVAE.sample() takes the most probable category of every row, so that a 30% category can vanish from the sample.
#
# One would guess: sample() draws from the decoder's probabilities, and a column that is "b" in 30% of rows, independent of
# all else, is "b" in about 30% of the synthetic rows.
# It is: the decoder learns 0.3 well, and argmax turns it into almost never. Numbers, in contrast, are drawn with the decoder's
# sigma. A model that keeps more in its code looks better under this metric even where its bound is worse.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 ctgan==0.12.1 numpy==2.2.6 pandas==2.3.3

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import pandas as pd
import torch
from ctgan import TVAE

print("ctgan", version("ctgan"), "torch", torch.__version__)
torch.set_num_threads(1)
rng = np.random.default_rng(0)
table = pd.DataFrame({"number": rng.normal(size=3000), "letter": np.where(rng.random(3000) < 0.3, "b", "a")})
torch.manual_seed(0)
model = TVAE(epochs=40, enable_gpu=False)
model.fit(table, ["letter"])
sample = model.sample(3000)
with torch.no_grad():
    out, _ = model.decoder(torch.randn(3000, model.embedding_dim))
    places = model.transformer.output_info_list
    start = sum(span.dim for span in places[0])
    p = torch.softmax(out[:, start : start + 2], 1).mean(0)
sampled, true = float((sample["letter"] == "b").mean()), float((table["letter"] == "b").mean())
print(f"share of b: data {true:.3f}; the decoder's own probability, averaged {float(p.min()):.3f}; sample() {sampled:.3f}")
assert abs(float(p.min()) - true) < 0.08, "the decoder did not learn the share"
assert sampled < 0.05, "sample() now draws the categories"
PY
