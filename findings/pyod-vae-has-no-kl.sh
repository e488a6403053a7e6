#!/usr/bin/env bash
# pyod 3.6.7: the KL term of the default VAE is clamped to 0, whatever beta is.
#
# One would guess: VAE() is a VAE with KL weight beta = 1, and beta = 100 pulls the codes to the prior.
# It is: the batch's KL is clamp(kl, 0, capacity) and capacity is 0 by default. The KL gives neither value nor gradient: an
# autoencoder with (almost) no noise. beta changes nothing, bit for bit.
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


def fitted(**options):
    model = VAE(verbose=0, random_state=0, epoch_num=30, **options)
    model.fit(x)
    inner = model.model.eval()
    with torch.no_grad():
        mu, logvar = inner.encode(torch.tensor((x - x.mean(0)) / x.std(0)).float())
        kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1).mean().item()
    return torch.cat([p.detach().flatten() for p in inner.parameters()]), kl


one, kl = fitted()
hundred, kl_hundred = fitted(beta=100.0)
_, kl_on = fitted(capacity=1e9)
print(f"default: KL {kl:.1f} nats an example; beta=100: {kl_hundred:.1f}; beta=1 with capacity=1e9: {kl_on:.3f}")
print("weights with beta=1 and beta=100 equal bit for bit:", bool(torch.equal(one, hundred)))
assert torch.equal(one, hundred), "beta now changes the default VAE"
assert kl > 2.0 > kl_on, "the KL is no longer off by default"
PY
