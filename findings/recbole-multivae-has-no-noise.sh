#!/usr/bin/env bash
# recbole 1.2.1: MultiVAE draws z with noise of 0.01 sigma and, on MovieLens 100k, weighs the KL by 0.0015 at most: it is trained
# as a plain autoencoder.
#
# One would guess: as in the paper it cites (Liang et al. 2018), z = mu + sigma eps with eps of N(0, 1), and a KL weight that
# rises to anneal_cap = 0.2.
# It is: eps is drawn with std 0.01, while sigma is charged as if it were 1. The weight rises over total_anneal_steps = 200,000
# batches, and 943 users are one batch of the default 2,048: 300 epochs, the default, are 300 steps. latent_dimension = 128 gives
# 64 latent variables. So what its evaluation calls a VAE is one neither in its noise nor in its loss.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 numpy==1.26.4 scipy==1.13.1 pandas==2.2.3 scikit-learn==1.5.2 tqdm colorlog==4.7.2 colorama==0.4.4 pyyaml \
    tensorboard thop tabulate plotly texttable psutil
install --no-deps recbole==1.2.1 # ray, which only its search for hyperparameters needs, is left out

cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import MultiVAE
from recbole.trainer import Trainer
from recbole.utils import init_seed

print("recbole", version("recbole"), "torch", torch.__version__)
torch.set_num_threads(1)
config = Config("MultiVAE", "ml-100k", config_dict={"use_gpu": False, "eval_step": 0, "show_progress": False})
init_seed(0, True)
train, valid, test = data_preparation(config, create_dataset(config))
model = MultiVAE(config, train.dataset)
model.train()
zeros = torch.zeros(1000, 64)
noise = float(model.reparameterize(zeros, zeros).std())  # sigma = exp(0) = 1
Trainer(config, model).fit(train, saved=False)
weight = min(model.anneal_cap, model.update / model.total_anneal_steps)
x = model.get_rating_matrix(torch.arange(1, train.dataset.user_num))
model.eval()
with torch.no_grad():
    _, mu, logvar = model(x)
    kl = float(0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1).mean())
print(f"latent variables: {mu.shape[1]} of latent_dimension = {config['latent_dimension']}")
print(f"noise drawn where sigma = 1: {noise:.4f}")
print(f"KL weight after the default {config['epochs']} epochs, {model.update} steps: {weight:.4f} of anneal_cap {model.anneal_cap}")
print(f"KL in nats a user: {kl:.0f}; in the loss {weight * kl:.2f}")
assert 0.009 < noise < 0.011, "z is now drawn with another noise"
assert weight < 0.002 and mu.shape[1] == 64, "the KL is now weighed otherwise"
PY
