#!/usr/bin/env bash
# torch-geometric 2.8.1: VGAE's docstring wants an encoder of mu and log sigma^2; its code takes the second as log sigma.
#
# One would guess: "The encoder module to compute mu and log sigma^2", as written, so that an encoder which learned or computes
# log sigma^2 is right.
# It is: noise exp(second), KL with 2 x second. An encoder that follows the docstring draws with sigma^2 in the place of
# sigma. encode() returns neither of the two but z, drawn in train mode and mu in eval mode.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 torch-geometric==2.8.1 numpy==2.2.6

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from torch_geometric.nn import VGAE

print("torch-geometric", version("torch-geometric"), "torch", torch.__version__)
said = "log\\sigma^2" in VGAE.__doc__.replace(" ", "")
std = 0.2


class Encoder(torch.nn.Module):
    def forward(self, x):
        return torch.zeros(len(x), 4), torch.full((len(x), 4), std).log() * 2  # mu and log sigma^2, as documented


torch.manual_seed(0)
model = VGAE(Encoder())
x = torch.zeros(20_000, 1)
drawn = model.train().encode(x).std().item()
kl = model.kl_loss().item() / 4
right = torch.distributions.kl_divergence(torch.distributions.Normal(0.0, std), torch.distributions.Normal(0.0, 1.0)).item()
print(f"docstring says log sigma^2: {said}; sigma {std}; drawn with {drawn:.4f}; KL {kl:.3f} for {right:.3f}")
print("in eval mode encode() is mu itself:", bool((model.eval().encode(x) == 0).all()))
assert said, "the docstring was corrected"
assert abs(drawn - std**2) < 0.002 and abs(kl - right) > 1.0, "the second output is now taken as log sigma^2"
PY
