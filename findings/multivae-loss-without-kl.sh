#!/usr/bin/env bash
# multivae 1.0.3: the loss of a trained MVAE on a test set, model(test).loss, has no KL in it; that of JMVAE has a tenth.
#
# One would guess: after the training the warm-up is over, and model(test).loss is the negative ELBO that was trained.
# It is: forward takes the epoch as an argument, epoch=1 if left out, and the KL weight is that of the warm-up's first epoch: 0 for
# MVAE, 1/10 for JMVAE at the default warmup=10. A loop of one's own that leaves epoch= out trains with it throughout.
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
from multivae.models import JMVAE, JMVAEConfig, MVAE, MVAEConfig

print("multivae", version("multivae"), "torch", torch.__version__)
torch.manual_seed(0)
shapes = {"a": (100,), "b": (100,)}
train, test = (MultimodalBaseDataset({name: shade.expand(-1, 100) for name in shapes}) for shade in torch.rand(2, 200, 1))
for kind, config, weight in ((MVAE, MVAEConfig, 0.0), (JMVAE, JMVAEConfig, 0.1)):
    model = kind(config(n_modalities=2, input_dims=shapes))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for step in range(200):
        optimizer.zero_grad()
        model(train, epoch=100).loss.backward()
        optimizer.step()
    model.eval()
    found = {}
    with torch.no_grad():
        for given in ({}, {"epoch": 100}):
            torch.manual_seed(1)  # the same noise
            out = model(test, **given)
            found[bool(given)] = out.metrics["beta"], out.loss.item()
            klds = sum(float(value) for name, value in out.metrics.items() if name.startswith("kld"))
    (short, loss), (full, finished) = found[False], found[True]
    print(f"{kind.__name__} in eval mode: model(test).loss {loss:.2f}, KL weight {short:g}; with epoch=100 {finished:.2f}, weight {full:g}")
    assert abs(short - weight) < 1e-9 and full == 1 and finished > loss + 1, "the KL weight without epoch= is another now"
    assert kind is JMVAE or abs(finished - loss - klds) < 1e-2, "the two losses of MVAE differ by something else than the KLs now"
PY
