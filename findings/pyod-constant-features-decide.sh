#!/usr/bin/env bash
# pyod 3.6.7: a feature that is constant in the training data decides the scores of its VAE.
#
# One would guess: the built-in standardisation (preprocessing=True) leaves a constant feature alone, as scikit-learn's StandardScaler
# does, which divides it by 1.
# It is: (x - mean) / (std + 1e-8), and std is 0. A row of new data whose value differs by 0.001 has 100,000 there, and a score of
# about 100,000, whatever the other features say. Pixels at the edge of digits do this to rows of a test set. AutoEncoder has the same
# base class.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 pyod==3.6.7 numpy==2.2.6 tqdm==4.67.1

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import torch
from pyod.models.vae import VAE
from sklearn.preprocessing import StandardScaler

print("pyod", version("pyod"), "torch", torch.__version__)
torch.set_num_threads(1)
rng = np.random.default_rng(0)
x = rng.normal(size=(300, 5))
x[:, 0] = 3.0
model = VAE(verbose=0, random_state=0, epoch_num=10)
model.fit(x)
new = rng.normal(size=(4, 5))
new[:, 0] = [3.0, 3.001, 3.0, 3.0]
new[2, 1:] = 10.0  # an outlier in every other feature
scores = model.decision_function(new)
print("scores:", [f"{score:.4g}" for score in scores], "of rows that are usual, 0.001 off in the constant feature, an outlier, usual")
scaled = StandardScaler().fit(x).transform(new)
print("StandardScaler makes of the second row", round(float(scaled[1, 0]), 6))
assert scores[1] > 1e4 > 100.0 > scores[2], "a constant feature no longer decides"
assert abs(scaled[1, 0] - 0.001) < 1e-6
PY
