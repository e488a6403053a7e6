"""MultiVAE of recbole on ratings of people of two tastes, and its trainer."""

import logging
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

import torch
from hosts.ratings import triples
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import MultiVAE
from recbole.trainer import Trainer, trainer
from recbole.utils import init_seed

FOLDER = Path(tempfile.mkdtemp())
(FOLDER / "small").mkdir()
HEAD = "user_id:token\titem_id:token\trating:float\n"
(FOLDER / "small" / "small.inter").write_text(HEAD + "".join(f"{u}\t{i}\t{r:g}\n" for u, i, r in triples()))

trainer.get_tensorboard = lambda logger: MagicMock()  # or it logs into the folder at hand

SMALL = {
    "data_path": str(FOLDER),
    "load_col": {"inter": ["user_id", "item_id", "rating"]},
    "use_gpu": False,
    "show_progress": False,
    "eval_step": 0,
    "epochs": 6,
    "train_batch_size": 32,
    "mlp_hidden_size": [16],
    "latent_dimension": 8,
    "checkpoint_dir": str(FOLDER / "saved"),
}


def parts(full_noise=True, model_of=MultiVAE, **settings):
    """The model, its trainer and its training data; with the noise that its KL charges, or recbole's own.

    Args:
        full_noise: Which.
        model_of: The class.
        settings: Of recbole's config.
    """
    logging.disable(logging.INFO)
    config = Config("MultiVAE", "small", config_dict=SMALL | settings)
    init_seed(0, True)
    data, _, _ = data_preparation(config, create_dataset(config))
    model = model_of(config, data.dataset)
    if full_noise:
        model.reparameterize = lambda mu, logvar: (
            mu + torch.exp(0.5 * logvar) * torch.randn_like(mu) if model.training else mu
        )
    return model, Trainer(config, model), data
