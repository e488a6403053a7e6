#!/usr/bin/env bash
# mlcolvar 1.3.1: sample weights that are all 1 multiply the VAE's KL by the batch size, and other weights act squared.
#
# One would guess: "If given, the average over batches is weighted. The default is unweighted", so weights of ones change
# nothing; weights that sum to 1 keep the balance of the two terms.
# It is: the KL becomes a weighted sum over the batch, while the squared error stays a mean over batch and features of
# (weight x difference) squared. With ones and 100 examples the KL weighs 100 times as much; with weights of 1/100 the KL is
# right and the reconstruction is 10,000 times too small. Either collapses the latents.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 mlcolvar==1.3.1 numpy==2.2.6

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from mlcolvar.core.loss import elbo_gaussians_loss

print("mlcolvar", version("mlcolvar"), "torch", torch.__version__)
torch.manual_seed(0)
n = 100
x, x_hat, mean, log_variance = torch.randn(n, 10), torch.randn(n, 10), torch.randn(n, 2), torch.randn(n, 2)


def terms(weights=None):
    _, reconstruction, kl = elbo_gaussians_loss(x, x_hat, mean, log_variance, return_loss_terms=True, weights=weights)
    return reconstruction.item(), kl.item()


plain, ones, fractions = terms(), terms(torch.ones(n)), terms(torch.full((n,), 1 / n))
for name, (reconstruction, kl) in (("none", plain), ("all 1", ones), ("all 1/100", fractions)):
    print(f"weights {name:10s} reconstruction {reconstruction:.6f}  KL {kl:.4f}  KL/reconstruction {kl / reconstruction:.3f}")
assert abs(ones[1] / plain[1] - n) < 0.01 and abs(ones[0] / plain[0] - 1) < 1e-5, "weights of ones now change nothing"
assert abs(fractions[0] / plain[0] * n**2 - 1) < 1e-4 and abs(fractions[1] / plain[1] - 1) < 1e-4, "weights act otherwise"
PY
