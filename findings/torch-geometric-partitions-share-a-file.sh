#!/usr/bin/env bash
# torch-geometric 2.8.1: StochasticBlockModelDataset names its file by the edge probabilities to one decimal, so that another
# partition is handed out for the one that was asked for, silently.
#
# One would guess: datasets of different edge probabilities in one folder are different graphs.
# It is: 0.04 within and 0.01 between blocks, and the reverse, are both "0.0-0.0-0.0-0.0". Whoever compares graph autoencoders from
# assortative to disassortative graphs measures one graph throughout.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 torch-geometric==2.8.1 numpy==2.2.6 scikit-learn==1.7.2

WORK="$work" "$work/venv/bin/python" -W ignore - <<'PY'
import os
from importlib.metadata import version

import torch
from torch_geometric.datasets import StochasticBlockModelDataset

print("torch-geometric", version("torch-geometric"), "torch", torch.__version__)


def within(folder, inside, outside):
    """The share of edges that stay in their block."""
    torch.manual_seed(0)
    chances = [[inside, outside], [outside, inside]]
    graph = StochasticBlockModelDataset(f"{os.environ['WORK']}/{folder}", [300, 300], chances)[0]
    return float((graph.y[graph.edge_index[0]] == graph.y[graph.edge_index[1]]).float().mean())


first, second, alone = within("one", 0.04, 0.01), within("one", 0.01, 0.04), within("another", 0.01, 0.04)
print(f"edges within blocks: p 0.04/0.01 {first:.2f}; then p 0.01/0.04 in the same folder {second:.2f}, in a new folder {alone:.2f}")
assert first == second > 0.7 and alone < 0.3, "each partition now has a file of its own"
PY
