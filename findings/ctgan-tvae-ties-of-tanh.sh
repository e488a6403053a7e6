#!/usr/bin/env bash
# ctgan 0.12.1: TVAE.sample() squashes the scores of the categories by tanh before it takes the largest. Beyond 9 all are 1.0
# in float32, and the first of them is taken, not the most probable.
#
# One would guess: sample() takes the most probable category, which tanh cannot change, since it is monotone.
# It is: the decoder's scores go far beyond 9 (to 60 on statsmodels' `fair` with the defaults), as nothing but their differences is
# trained. Several categories then stand at exactly 1.0, and argmax gives the first. In `fair` 6% of the rows get another
# age, always a younger one than the most probable, and 15% another mode of the years married.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 ctgan==0.12.1 numpy==2.2.6 pandas==2.3.3 statsmodels==0.14.5

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import statsmodels.api as sm
import torch
from ctgan import TVAE

print("ctgan", version("ctgan"), "torch", torch.__version__)
torch.set_num_threads(1)
table = sm.datasets.fair.load_pandas().data
torch.manual_seed(0)
model = TVAE(enable_gpu=False)  # its defaults, 300 epochs
model.fit(table, [name for name in table if name not in ("affairs", "yrs_married")])
changed, at = {}, 0
with torch.no_grad():
    out, _ = model.decoder(torch.randn(20_000, model.embedding_dim))
    sampled = torch.tanh(out)  # as sample() has it
    for info, spans in zip(model.transformer._column_transform_info_list, model.transformer.output_info_list):
        for span in spans:
            if span.activation_fn == "softmax":
                likely, taken = (one[:, at : at + span.dim].argmax(1) for one in (out, sampled))
                changed[info.column_name] = float((likely != taken).float().mean())
                assert bool((taken <= likely).all()), "not the first of the tied"
                largest = float(out[:, at : at + span.dim].max())
                print(f"{info.column_name:16} largest score {largest:5.1f}; not the most probable: {changed[info.column_name]:.3f}")
            at += span.dim
assert changed["age"] > 0.02 and changed["yrs_married"] > 0.05, "tanh no longer ties"
# What sample() itself hands on, through a decoder that is sure of the last of three categories, whose scores are 12, 11 and 20.
import pandas as pd

small = pd.DataFrame({"letter": ["a", "b", "c"] * 200})
model = TVAE(epochs=1, enable_gpu=False)
model.fit(small, ["letter"])
order = list(model.transformer._column_transform_info_list[0].transform.dummies)
model.decoder.forward = lambda z: (torch.tensor([12.0, 11.0, 20.0]).expand(len(z), 3), torch.ones(3))
drawn = model.sample(100)["letter"].value_counts().to_dict()
print(f"scores 12, 11, 20 of {', '.join(order)}: sample() gives {drawn}")
assert drawn == {order[0]: 100}, "sample() now takes the most probable"
PY
