#!/usr/bin/env bash
# diffusers 0.42.1: DiagonalGaussianDistribution.kl() of video latents [B, C, T, H, W] does not sum over the last axis.
#
# One would guess: one KL for each example, as for images.
# It is: the sum runs over axes 1, 2 and 3 whatever the rank, so that a video's KL is [B, W], one number a column. Its mean(), the
# usual next step, is the KL of an example divided by W; nll() and the KL to another Gaussian are alike.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 diffusers==0.42.1 numpy==2.2.6

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

print("diffusers", version("diffusers"), "torch", torch.__version__)
torch.manual_seed(0)
for shape in ((2, 8, 6, 10), (2, 8, 3, 6, 10)):
    q = DiagonalGaussianDistribution(torch.randn(shape))
    by_hand = 0.5 * (q.mean**2 + q.var - 1 - q.logvar).flatten(1).sum(1)
    print(f"moments {list(shape)}: kl() has shape {list(q.kl().shape)}, mean {q.kl().mean():.2f}; by hand {by_hand.mean():.2f}")
assert q.kl().shape == (2, 10), "kl() of a video has another shape"
assert torch.allclose(q.kl().sum(1), by_hand, rtol=1e-4)
PY
