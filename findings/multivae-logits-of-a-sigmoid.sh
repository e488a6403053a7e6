#!/usr/bin/env bash
# multivae 1.0.3: decoders_dist="bernoulli" takes the default decoder's output, which a sigmoid gave, for logits.
#
# One would guess: JMVAEConfig(decoders_dist={"a": "bernoulli"}, input_dims=...) models binary pixels; "for Bernoulli distribution, the
# decoder is expected to output logits", and the decoders that the package makes itself do.
# It is: they end in a sigmoid whatever the distribution, so that every pixel's probability of 1 lies between 0.5 and 0.731. A trained
# model is worse on binary digits than one fixed probability for each pixel. "categorical" is bounded likewise: of 10 classes none
# gets more than 0.232.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 torchvision==0.28.0 multivae==1.0.3 scikit-learn==1.7.2 numpy==2.2.6

TQDM_DISABLE=1 "$work/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import torch

try:
    import torchvision
except RuntimeError:  # its wheel beside a torch without CUDA; nothing of it is used here
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from multivae.data import MultimodalBaseDataset
from multivae.models import JMVAE, JMVAEConfig
from sklearn.datasets import load_digits

print("multivae", version("multivae"), "torch", torch.__version__)
x = (torch.tensor(load_digits().data) > 7).float()
data = MultimodalBaseDataset({"top": x[:, :32], "bottom": x[:, 32:]})
torch.manual_seed(0)
halves = {"top": (32,), "bottom": (32,)}
model = JMVAE(JMVAEConfig(n_modalities=2, input_dims=halves, decoders_dist=dict.fromkeys(halves, "bernoulli")))
optimizer = torch.optim.Adam(model.parameters(), 1e-3)
for step in range(300):
    optimizer.zero_grad()
    rows = torch.randint(len(x), (100,))
    model(MultimodalBaseDataset({name: one[rows] for name, one in data.data.items()}), epoch=100).loss.backward()
    optimizer.step()
model.eval()
with torch.no_grad():
    logits = torch.cat(list(model.predict(data).values()), 1)
    losses = [model.recon_log_probs[name](model.predict(data)[name], data.data[name]).sum(1) for name in halves]
    rate = x.mean(0).clamp(1e-3, 1 - 1e-3)
    fixed = -torch.distributions.Bernoulli(rate).log_prob(x).sum(1).mean().item()
own = -sum(losses).mean().item()
low, high = logits.sigmoid().min().item(), logits.sigmoid().max().item()
print(f"pixels are 1 in {x.mean():.0%}; the decoder's probabilities lie between {low:.3f} and {high:.3f}")
print(f"-log p(x|z) of the trained model: {own:.1f} nats; of one fixed probability a pixel: {fixed:.1f}")
assert low >= 0.5 and high <= 0.732, "the default decoder can give other probabilities now"
assert own > fixed + 5, "the trained model is better than fixed probabilities now"
PY
