#!/usr/bin/env bash
# cornac 3.0.1: a second `fit` of a VAECF goes on from the first one's weights, on other ratings too, though a seed is given.
#
# One would guess: fit trains from the beginning, as in scikit-learn, and the same seed and ratings give the same model.
# It is: `if not hasattr(self, "vae")` makes the network once; each further fit trains that one for n_epochs more (with a new
# Adam). Whoever fits one object on several folds or seeds has a model that has seen every fold. BiVAECF does the like.
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
torch.set_num_threads(1)
chance = torch.Generator().manual_seed(0)


def people(kind):
    liked = torch.rand(300, 40, generator=chance) < torch.where(torch.arange(40) % 2 == kind, 0.6, 0.05)
    return cornac.data.Dataset.from_uir([(f"u{u}", f"i{i:02}", 1.0) for i, u in liked.T.nonzero().tolist()])


even, odd = people(0), people(1)
once = VAECF(k=4, n_epochs=30, seed=0).fit(even)
again = VAECF(k=4, n_epochs=30, seed=0).fit(even)
same = torch.equal(once.vae.enc_mu.weight, again.vae.enc_mu.weight)
before = again.vae.enc_mu.weight.clone()
again.n_epochs = 0
again.fit(odd)
kept = torch.equal(before, again.vae.enc_mu.weight)
again.n_epochs = 30
again.fit(even)
print("two models, one fit each, same seed: equal weights:", same)
print("a fit of 0 epochs on other people's ratings keeps the first fit's weights:", kept)
print("a second fit with the same seed and ratings: equal weights:", torch.equal(once.vae.enc_mu.weight, again.vae.enc_mu.weight))
assert same and kept, "fit now makes a new network"
assert not torch.equal(once.vae.enc_mu.weight, again.vae.enc_mu.weight), "a second fit now starts anew"
PY
