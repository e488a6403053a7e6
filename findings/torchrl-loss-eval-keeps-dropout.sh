#!/usr/bin/env bash
# torchrl 0.14.1: loss.eval() of a LossModule does not reach its network, so that a validation loss is taken with dropout on.
#
# One would guess: ACTLoss is a Module that holds its actor; loss.eval() puts the actor in eval mode, as everywhere in torch.
# It is: only its parameters are held; the actor stays in train mode, with its default dropout of 0.1, until actor.eval() is called.
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
model = ACTModel(4, 2, 10, hidden_dim=32, nheads=2, num_encoder_layers=1, num_decoder_layers=1)
actor = TensorDictModule(model, in_keys=["observation", "action_chunk"], out_keys=["action_pred", "mu", "log_var"])
loss = ACTLoss(actor)
data = TensorDict({"observation": torch.randn(64, 4), ("vla_action", "chunk"): torch.randn(64, 10, 2)}, batch_size=[64])


def kl():  # of a posterior that no z is drawn for: dropout alone can change it
    with torch.no_grad():
        return [round(loss(data)["loss_kl"].item(), 5) for _ in range(3)]


loss.eval()
print("loss.eval():  loss.training", loss.training, " model.training", model.training, " KL of the same chunks three times:", kl())
assert not loss.training and model.training and len(set(kl())) > 1, "loss.eval() now reaches the network"
actor.eval()
print("actor.eval(): model.training", model.training, " KL of the same chunks three times:", kl())
assert len(set(kl())) == 1
PY
