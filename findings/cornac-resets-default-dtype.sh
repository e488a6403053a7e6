#!/usr/bin/env bash
# cornac 3.0.1: fitting a VAECF sets torch's default dtype back to float32 for the whole process, and leaves the model in train mode.
#
# One would guess: a recommender's fit changes the recommender alone.
# It is: cornac.models.vaecf.vaecf is imported at the first fit and calls torch.set_default_dtype(torch.float32) at its head; the
# model is never put in eval mode. Whoever works in float64, as numerical checks do, is in float32 from then on, silently.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 cornac==3.0.1 numpy==2.2.6

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import cornac
import torch
from cornac.models import VAECF

print("cornac", version("cornac"), "torch", torch.__version__)
torch.set_default_dtype(torch.float64)
ratings = cornac.data.Dataset.from_uir([(str(u), str((u * 7 + j) % 23), 1.0) for u in range(30) for j in range(5)])
before = torch.get_default_dtype()
model = VAECF(n_epochs=1, seed=0).fit(ratings)
after = torch.get_default_dtype()
print("default dtype before fit:", before, " after:", after, " model in train mode:", model.vae.training)
assert (before, after) == (torch.float64, torch.float32), "fit now leaves the default dtype"
assert model.vae.training, "fit now ends in eval mode"
PY
