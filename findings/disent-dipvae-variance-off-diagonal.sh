#!/usr/bin/env bash
# disent 0.9.3: DipVae's default mode "ii" adds one number to every entry of the covariance, off the diagonal too.
#
# One would guess: DIP-VAE-II holds Cov(mu) + diag(E[sigma^2]) near the identity, so that codes without correlation cost nothing
# off the diagonal.
# It is: torch.diag of the [B, D] variances picks D of them (example 0's first, example 1's second, ...), and their mean, one number,
# is added to all D^2 entries. Codes without correlation are charged for it, and the penalty is least where they are
# anticorrelated. The variances of all but the first D examples get no gradient.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.12 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 torchvision==0.28.0 disent==0.9.3 lightning==2.6.6 numpy==2.4.6

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from disent.frameworks.vae import DipVae
from disent.model import AutoEncoder
from disent.model.ae import DecoderLinear, EncoderLinear
from torch.distributions import Normal

print("disent", version("disent"), "torch", torch.__version__)
shape = (1, 8, 8)
model = DipVae(AutoEncoder(EncoderLinear(shape, z_size=3, z_multiplier=2), DecoderLinear(shape, z_size=3)))
print("mode by default:", model.cfg.dip_mode)
torch.manual_seed(0)
apart = torch.linalg.qr(torch.cat([torch.ones(512, 1), torch.randn(512, 3)], 1))[0][:, 1:]  # no correlation at all
mean = apart * (0.75 * 512) ** 0.5
variance = torch.full((512, 3), 0.25, requires_grad=True)
q = Normal(mean, variance.sqrt())
found = model._dip_estimate_cov_matrix(q)
off = found - torch.diag(found.diagonal())
print("Cov(mu) off the diagonal: 0; with E[sigma^2] = 0.25 on it the matrix is the identity")
print("what is held near the identity:\n", found.detach().numpy().round(3))
loss, logs = model._dip_compute_loss(q)
loss.backward()
reached = int((variance.grad != 0).any(1).sum())
print(f"penalty off the diagonal: {float(logs['dip_loss_od'].detach()):.3f}; examples whose variance gets a gradient: {reached} of 512")
assert torch.allclose(off.sum(), torch.tensor(6 * 0.25), atol=0.01) and reached <= 3, "the variance is now on the diagonal alone"
PY
