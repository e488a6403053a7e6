#!/usr/bin/env bash
# torchrl 0.14.1: ACTLoss documents an L1 norm and computes an L1 mean, so that its default kl_weight of 10 acts as 10 x T x A.
#
# One would guess: L = ||a_pred - a||_1 + 10 KL, as its docstring has it: a sum over the T x A numbers of a chunk.
# It is: the L1 term is a mean over the chunk. With chunks of 100 x 14 a nat of KL must save 14,000 units of absolute error.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 torchrl==0.14.1 numpy==2.2.6

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.modules.models import ACTModel
from torchrl.objectives import ACTLoss

print("torchrl", version("torchrl"), "torch", torch.__version__)
torch.manual_seed(0)
found = {}
for chunk in (10, 100):
    model = ACTModel(14, 14, chunk, hidden_dim=32, nheads=2, num_encoder_layers=1, num_decoder_layers=1, dropout=0.0)
    actor = TensorDictModule(model, in_keys=["observation", "action_chunk"], out_keys=["action_pred", "mu", "log_var"])
    loss = ACTLoss(actor)
    actions = torch.randn(8, chunk, 14)
    out = loss(TensorDict({"observation": torch.randn(8, 14), ("vla_action", "chunk"): actions}, batch_size=[8]))
    found[chunk] = out["loss_reconstruction"].item()
    print(f"chunk {chunk} x 14: reconstruction term {found[chunk]:.3f}; an L1 norm of these is near {actions.abs().sum((1, 2)).mean():.0f}; "
          f"kl_weight {loss.kl_weight} against it acts as {loss.kl_weight * chunk * 14:.0f}")
assert r"\|_1" in ACTLoss.__doc__, "the docstring was corrected"
assert loss.kl_weight == 10.0 and all(value < 3.0 for value in found.values()), "the L1 term is now a sum"
PY
