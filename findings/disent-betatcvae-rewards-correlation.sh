#!/usr/bin/env bash
# disent 0.9.3: BetaTcVae with its defaults rewards total correlation: it is added with the weight beta - 1 = -0.997.
#
# One would guess: beta-TCVAE punishes the total correlation of the codes; that is what it is for.
# It is: the class inherits beta = 0.003 from BetaVae, where it suits a mean over pixels, and adds (beta - 1) times the total
# correlation, which is a sum over the latents. Below beta = 1 this is a reward, and at 0.003 it outweighs all else: after a few
# hundred steps the codes repeat each other.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.12 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 torchvision==0.28.0 disent==0.9.3 lightning==2.6.6 numpy==2.4.6

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from disent.frameworks.vae import BetaTcVae, BetaVae
from disent.model import AutoEncoder
from disent.model.ae import DecoderLinear, EncoderLinear

print("disent", version("disent"), "torch", torch.__version__)
shape = (1, 8, 8)
torch.manual_seed(0)
images = torch.randn(256, 4) @ torch.linalg.qr(torch.randn(64, 4))[0].T  # four factors that have nothing to do with each other


def trained(kind):
    torch.manual_seed(0)
    model = kind(AutoEncoder(EncoderLinear(shape, z_size=4, z_multiplier=2), DecoderLinear(shape, z_size=4)))
    model.log = model.log_dict = lambda *given, **named: None  # of the Trainer
    optimizer = model.configure_optimizers()
    for _ in range(500):
        batch = images[torch.randperm(256)[:64]].view(-1, *shape)
        loss = model.do_training_step({"x_targ": (batch,)}, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    q, _ = model.encode_dists(images.view(-1, *shape))
    torch.manual_seed(1)
    total = BetaTcVae._betatc_compute_total_correlation(q.rsample(), q.mean, q.variance.log())
    mutual = torch.corrcoef(q.mean.T).abs()
    return model.cfg.beta, float(total), float((mutual.sum() - 4) / 12)


beta, plain, apart = trained(BetaVae)
_, rewarded, together = trained(BetaTcVae)
print(f"beta by default: {beta}; total correlation enters with the weight {beta - 1:.3f}")
print(f"BetaVae   after 500 steps: total correlation (but for a constant) {plain:.2f}, mean |correlation| of two codes {apart:.2f}")
print(f"BetaTcVae after 500 steps: total correlation (but for a constant) {rewarded:.2f}, mean |correlation| of two codes {together:.2f}")
assert beta - 1 < -0.9 and rewarded > plain + 1.0, "BetaTcVae no longer rewards total correlation by default"
PY
