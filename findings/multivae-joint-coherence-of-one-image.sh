#!/usr/bin/env bash
# multivae 1.0.3: a collapsed model, which generates nearly one image from every z, has a joint coherence of 0.75 to 1.0.
#
# One would guess: "the percentage of samples where all modalities have the same labels", generated from the prior, is low for a model
# whose latents have collapsed, as conditional coherence is (0.1 of 10 classes).
# It is: a JMVAE at the package's defaults (Normal of std 1, pixels in [0, 1]) decodes every z to about the mean digit. Its halves get
# one label each, nearly always the same, and where the two classifiers agree on the mean digit all samples "have the same label". Seen
# with eight pairs of classifiers that differ in their seed alone.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 torchvision==0.28.0 multivae==1.0.3 scikit-learn==1.7.2 numpy==2.2.6

TQDM_DISABLE=1 "$work/venv/bin/python" -W ignore - <<'PY'
import logging
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
from multivae.metrics import CoherenceEvaluator, CoherenceEvaluatorConfig
from multivae.models import JMVAE, JMVAEConfig
from sklearn.datasets import load_digits
from torch import nn

logging.disable(logging.CRITICAL)
print("multivae", version("multivae"), "torch", torch.__version__)
x, y = torch.tensor(load_digits().data / 16).float(), torch.tensor(load_digits().target)
data = MultimodalBaseDataset({"top": x[:, :32], "bottom": x[:, 32:]}, labels=y)
halves = {"top": (32,), "bottom": (32,)}
torch.manual_seed(0)
model = JMVAE(JMVAEConfig(n_modalities=2, input_dims=halves))
optimizer = torch.optim.Adam(model.parameters(), 1e-3)
for step in range(300):
    optimizer.zero_grad()
    rows = torch.randint(len(x), (100,))
    model(MultimodalBaseDataset({name: one[rows] for name, one in data.data.items()}), epoch=100).loss.backward()
    optimizer.step()
image = torch.cat(list(model.eval().decode(model.generate_from_prior(1000)).values()), 1)
print(f"pixels generated from the prior vary by {image.std(0).mean():.4f}, those of the data by {x.std(0).mean():.3f}")
found = []
for seed in range(8):
    torch.manual_seed(seed)
    classifiers = {name: nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10)) for name in halves}
    right = {}
    for name, classifier in classifiers.items():
        optimizer = torch.optim.Adam(classifier.parameters(), 1e-2)
        for step in range(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(classifier(data.data[name]), y).backward()
            optimizer.step()
        right[name] = (classifier(data.data[name]).argmax(1) == y).float().mean().item()
    config = CoherenceEvaluatorConfig(num_classes=10, nb_samples_for_joint=1000)
    metrics = CoherenceEvaluator(model, classifiers, data, eval_config=config).eval()
    found.append(round(float(metrics.joint_coherence_prior), 3))
    print(f"classifiers right on {right['top']:.0%} and {right['bottom']:.0%}: conditional coherence "
          f"{metrics.mean_coherence_1:.3f}, joint coherence {found[-1]:.3f}")
assert min(found) > 0.6 and max(found) > 0.95, "joint coherence of a collapsed model is lower now"
PY
