#!/usr/bin/env bash
# pyod 3.6.7: a small `capacity` of the VAE lets the KL grow without limit, a large one pulls it to 0.
#
# One would guess: capacity, "the maximum capacity of a loss bottleneck", holds the KL at C, as |KL - C| does in the paper that is
# cited (Burgess et al.), or at least keeps it below C.
# It is: clamp(kl, 0, C) has no gradient above C, and the full one below. A KL that begins above C = 0.5 is never touched: the weights
# are those of C = 0, bit for bit, at over 5 nats. At C = 1 the KL begins below and is pulled to 0.
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

print("pyod", version("pyod"), "torch", torch.__version__)
torch.set_num_threads(1)
rng = np.random.default_rng(0)
x = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 12)) + 0.3 * rng.normal(size=(500, 12))


def fitted(capacity):
    model = VAE(verbose=0, random_state=0, epoch_num=30, capacity=capacity)
    model.fit(x)
    inner = model.model.eval()
    with torch.no_grad():
        mu, logvar = inner.encode(torch.tensor((x - x.mean(0)) / x.std(0)).float())
        kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1).mean().item()
    return torch.cat([p.detach().flatten() for p in inner.parameters()]), kl


found = {capacity: fitted(capacity) for capacity in (0.0, 0.5, 1.0, 5.0)}
print({capacity: round(kl, 3) for capacity, (_, kl) in found.items()}, "nats of KL an example, by capacity")
same = bool(torch.equal(found[0.0][0], found[0.5][0]))
print("weights of capacity 0 and 0.5 equal bit for bit:", same)
assert same, "a capacity of 0.5 now acts"
assert found[0.5][1] > 2.0 > 0.1 > found[1.0][1] and 0.1 > found[5.0][1], "the KL is held near the capacity now"
PY
