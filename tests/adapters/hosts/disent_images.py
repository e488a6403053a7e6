"""disent's frameworks, small, and how Lightning trains them on random images."""

import warnings

import pytest
import torch
from torch.utils.data import DataLoader

pytest.importorskip("disent")

from disent.dataset.data import XYObjectData
from disent.frameworks import vae
from disent.model import AutoEncoder
from disent.model.ae import DecoderLinear, EncoderLinear
from lightning import Trainer

SHAPE = (1, 8, 8)
DATA = XYObjectData(grid_size=8, grid_spacing=1, min_square_size=2, max_square_size=4, rgb=False)
IMAGES = torch.rand(96, *SHAPE, generator=torch.Generator().manual_seed(0))


def built(kind="BetaVae", **config):
    torch.manual_seed(0)
    model = AutoEncoder(EncoderLinear(SHAPE, z_size=4, z_multiplier=2), DecoderLinear(SHAPE, z_size=4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = getattr(vae, kind)
        return kind(model, kind.cfg(**config))


def trained(framework, callbacks=(), epochs=4, **options):
    """The framework after Lightning trained it on IMAGES."""
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    batches = DataLoader([{"x_targ": (x,)} for x in IMAGES], batch_size=32, shuffle=True, **options)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Trainer(max_epochs=epochs, accelerator="cpu", callbacks=list(callbacks), **quiet).fit(framework, batches)
    return framework.eval()
