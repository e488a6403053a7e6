#!/usr/bin/env bash
# scvi-tools 1.4.2: TOTALVI's get_elbo() counts the density of a parameter in every cell; its KL weight silences proteins.
#
# One would guess: -get_elbo() is reconstruction plus the KLs of the latents, and the KL weight of a warm-up multiplies KLs.
# It is: the loss of each cell also has -ln LogNormal(e; 0, 1) for the efficiency e of every protein, a parameter that all
# cells share: 0.92 nats a protein and cell where e = 1, so that the bounds of two panels cannot be compared. The KL
# weight multiplies the proteins' likelihood, too: at the start of the warm-up proteins are not trained on at all, and with
# 100,000 cells and the default number of epochs they end at a weight of 0.38.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 scvi-tools==1.4.2 anndata==0.12.19 lightning==2.6.6 numpy==2.4.6 pandas==2.3.3

"$work/venv/bin/python" -W ignore - <<'PY'
import inspect
import logging
import math
from importlib.metadata import version

import scvi
import torch
from scvi.model import TOTALVI
from scvi.model._utils import get_max_epochs_heuristic
from torch.distributions import Normal, kl_divergence

logging.disable(logging.WARNING)
print("scvi-tools", version("scvi-tools"), "torch", torch.__version__)
torch.set_num_threads(1)
scvi.settings.seed = 0
for proteins in (5, 50):
    cells = scvi.data.synthetic_iid(n_genes=20, n_proteins=proteins, n_regions=0)
    TOTALVI.setup_anndata(cells, protein_expression_obsm_key="protein_expression")
    model = TOTALVI(cells)
    module, tensors = model.module.eval(), next(iter(model._make_data_loader(cells, batch_size=cells.n_obs)))
    with torch.no_grad():
        inferred, made, lost = module(tensors)
        py, prior = made["py_"], inferred["back_mean_prior"]
        kl = kl_divergence(Normal(py["back_alpha"], py["back_beta"]), prior).sum(1)
        surplus = float((lost.kl_local["kl_div_back_pro"] - kl).mean())
        silent = float(module.loss(tensors, inferred, made, kl_weight=0.0).loss)
        genes = float(lost.reconstruction_loss["reconst_loss_gene"].mean())
    print(f"{proteins} proteins: 'kl_div_back_pro' exceeds the KL of the background by {surplus:.2f} nats a cell,")
    print(f"  {surplus / proteins:.3f} a protein (ln(2 pi) / 2 = {math.log(2 * math.pi) / 2:.3f})")
    print(f"  loss at KL weight 0: {silent:.2f}; genes alone: {genes:.2f}")
    assert abs(surplus / proteins - math.log(2 * math.pi) / 2) < 0.01, "the density of the parameter is gone"
    assert abs(silent - genes) < 1e-3 * genes, "the KL weight leaves proteins alone now"
n, batch = 100_000, inspect.signature(TOTALVI.train).parameters["batch_size"].default
steps = get_max_epochs_heuristic(n) * math.ceil(0.9 * n / batch)
print(f"{n} cells: {steps} steps by default, warm-up over {int(0.75 * n)}: it ends at {steps / int(0.75 * n):.2f}")
assert steps < 0.5 * 0.75 * n, "the default warm-up now ends"
PY
