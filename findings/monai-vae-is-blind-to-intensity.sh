#!/usr/bin/env bash
# monai 1.6.1: VarAutoEncoder cannot see how bright an image is: its default norm, "INSTANCE", takes mean and scale out of every
# image before the code is made.
#
# One would guess: what varies most in the images, their intensity, is what the code holds first.
# It is: mu of an image and of half of it are the same, whatever the training. Where brightness is all that varies, as a dose, an
# uptake or a Hounsfield value, the code is constant and every reconstruction has the mean brightness: a collapse that no KL
# weight mends. norm="BATCH" lets intensity through.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 monai==1.6.1 numpy==2.2.6

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from monai.networks.nets import VarAutoEncoder

print("monai", version("monai"), "torch", torch.__version__)
torch.manual_seed(0)
rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
disc = ((rows - 7.5) ** 2 + (columns - 7.5) ** 2 < 25).float()
dose = 0.2 + 0.8 * torch.rand(600)  # how bright the disc of each image is, and nothing else varies
x = dose[:, None, None, None] * disc


def trained(**options):
    torch.manual_seed(0)
    model = VarAutoEncoder(2, (1, 16, 16), 1, 2, channels=(8, 16), strides=(2, 2), use_mean_at_inference=True, **options)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        for batch in x[:500].split(50):
            out, mu, logvar, _ = model(batch)
            kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()
            loss = torch.nn.functional.mse_loss(out, batch, reduction="sum") / 0.02 + kl
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        out, mu, logvar, _ = model(x[500:])
        back = (out[:, 0] * disc).sum((1, 2)) / disc.sum()
        halved = (model.encode_forward(x[500:] / 2)[0] - mu).abs().max()
    known = 1 - float(((back - dose[500:]) ** 2).mean() / dose[500:].var(correction=0))
    print(f"{options or 'default norm'}: share of the brightness that reconstructions have {known:.2f}; "
          f"mu varies by {mu.std(0).max():.3f}, and by at most {halved:.3f} where an image is halved")
    return known


blind, seeing = trained(), trained(norm="BATCH")
assert blind < 0.3 and seeing > 0.9, "the default norm lets intensity through"
PY
