"""lerobot's ACTPolicy on chunks of random numbers, some of them padded, seen with a state and its surroundings."""

import torch
from host_contract import HostCase
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy

from lambda_vae.integrations.lerobot import diagnose_lerobot, equalize_lerobot

STEPS, ACTIONS, LATENTS = 5, 2, 4


def batches(rows=64, size=32):
    torch.manual_seed(0)
    padded = torch.arange(STEPS) >= torch.randint(2, STEPS + 1, (rows, 1))
    whole = {
        "observation.state": torch.randn(rows, 3),
        "observation.environment_state": torch.randn(rows, 2),
        "action": torch.randn(rows, STEPS, ACTIONS),
        "action_is_pad": padded,
    }
    parts = zip(*(value.split(size) for value in whole.values()), strict=True)
    return [{**dict(zip(whole, part, strict=True)), "task": ["draw"] * size} for part in parts]


def act(kl_weight=10.0, **more):
    torch.manual_seed(1)
    kinds = {"observation.state": (FeatureType.STATE, 3), "observation.environment_state": (FeatureType.ENV, 2)}
    config = ACTConfig(
        input_features={name: PolicyFeature(kind, (size,)) for name, (kind, size) in kinds.items()},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (ACTIONS,))},
        chunk_size=STEPS,
        n_action_steps=STEPS,
        dim_model=16,
        n_heads=2,
        dim_feedforward=16,
        n_encoder_layers=1,
        n_vae_encoder_layers=1,
        latent_dim=LATENTS,
        kl_weight=kl_weight,
        device="cpu",
        **more,
    )
    return ACTPolicy(config)


def train(delta):
    data = batches()
    policy = act(0.01)
    if delta is not None:
        equalize_lerobot(policy, delta, steps_per_epoch=2)
    optimizer = torch.optim.AdamW(policy.get_optim_params(), 1e-2)
    for step in range(10):
        policy.train()
        optimizer.zero_grad()
        policy(data[step % 2])[0].backward()
        optimizer.step()
        if step == 4:  # acting, in eval mode, draws nothing
            policy.reset()
            policy.select_action(data[0])
    return {name: value.detach() for name, value in policy.named_parameters()}


def own(policy):
    """The policy's own losses of each batch, in train mode but without dropout."""
    policy.eval()
    policy.model.training = True
    with torch.no_grad():
        found = [policy(batch)[1] for batch in batches()]
    policy.eval()
    return found


def kl():
    policy = act()
    report = diagnose_lerobot(policy, batches(), iw_samples=2)
    return float(report.kl.sum()), sum(loss["kld_loss"] for loss in own(policy)) / 2


def planted():
    policy = act()
    entrance, exit_ = policy.model.encoder_latent_input_proj, policy.model.vae_encoder_latent_output_proj
    with torch.no_grad():
        exit_.weight.mul_(3.0)
        for k in (0, 2):
            exit_.weight[[k, LATENTS + k]] = 0.0
            exit_.bias[[k, LATENTS + k]] = 0.0
            entrance.weight[:, k] = 0.0
    return diagnose_lerobot(policy, batches(), iw_samples=2), {0, 2}


def _lacking():
    return [{name: value for name, value in batch.items() if name != "action_is_pad"} for batch in batches()]


CASE = HostCase(
    train=train,
    kl=kl,
    planted=planted,
    refused={
        "use_vae is False": lambda: diagnose_lerobot(act(use_vae=False), batches()),
        "kl_weight is 0": lambda: diagnose_lerobot(act(0.0), batches()),
        "a batch has no 'action_is_pad'": lambda: diagnose_lerobot(act(), _lacking()),
        "the policy is a Linear": lambda: equalize_lerobot(torch.nn.Linear(2, 2), 1.1, steps_per_epoch=1),
    },
)
