"""torchrl's ACTModel under ACTLoss, on chunks of random numbers."""

import torch
from host_contract import HostCase
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.modules.models import ACTModel
from torchrl.objectives import ACTLoss

from lambda_vae.integrations.torchrl import diagnose_torchrl, equalize_torchrl

STEPS, ACTIONS, SEEN, LATENTS = 5, 2, 3, 4


def chunks(rows=64):
    torch.manual_seed(0)
    return TensorDict(
        {"observation": torch.randn(rows, SEEN), ("vla_action", "chunk"): torch.randn(rows, STEPS, ACTIONS)}, [rows]
    )


def act(kl_weight=10.0, **more):
    torch.manual_seed(1)
    sizes = {"hidden_dim": 16, "nheads": 2, "num_encoder_layers": 1, "num_decoder_layers": 1, "latent_dim": LATENTS}
    model = ACTModel(SEEN, ACTIONS, STEPS, **sizes, **more)
    names = {"in_keys": ["observation", "action_chunk"], "out_keys": ["action_pred", "mu", "log_var"]}
    return model, ACTLoss(TensorDictModule(model, **names), kl_weight=kl_weight)


def train(delta):
    data = chunks()
    model, loss = act(0.01)
    if delta is not None:
        equalize_torchrl(model, delta, steps_per_epoch=2)
    optimizer = torch.optim.Adam(loss.parameters(), 1e-2)
    for step in range(10):
        optimizer.zero_grad()
        loss(data)["loss_act"].backward()
        optimizer.step()
        if step == 4:  # a rollout draws nothing
            model(data["observation"])
    return {name: value.detach() for name, value in model.named_parameters()}


def kl():
    _, loss = act()
    return float(diagnose_torchrl(loss, chunks(), iw_samples=2).kl.sum()), float(own(loss)["loss_kl"])


def own(loss):
    """The loss on the same chunks, without dropout."""
    loss.actor_network.eval()
    with torch.no_grad():
        return loss(chunks())


def planted():
    model, loss = act()
    with torch.no_grad():
        model.latent_proj.weight.mul_(3.0)
        for k in (0, 2):
            model.latent_proj.weight[[k, LATENTS + k]] = 0.0
            model.latent_proj.bias[[k, LATENTS + k]] = 0.0
            model.latent_out_proj.weight[:, k] = 0.0
    return diagnose_torchrl(loss, chunks(), iw_samples=2), {0, 2}


def _lacking():
    return TensorDict({"observation": torch.randn(8, SEEN)}, [8])


CASE = HostCase(
    train=train,
    kl=kl,
    planted=planted,
    refused={
        "give the ACTLoss": lambda: diagnose_torchrl(act()[0], chunks()),
        "kl_weight is 0": lambda: diagnose_torchrl(act(0.0)[1], chunks()),
        "the data have no": lambda: diagnose_torchrl(act()[1], _lacking()),
        "0 ACTModels in the Linear": lambda: equalize_torchrl(torch.nn.Linear(2, 2), 1.1, steps_per_epoch=1),
    },
)
