"""VGAE of torch-geometric on the wiring of a fly's brain."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from package import Found, Package

STEPS, D = 400, 16


def fly() -> Any:
    """Return the graph, undirected, with one feature a neuron."""
    from torch_geometric.data import Data

    (folder,) = find_spec("graspologic").submodule_search_locations  # type: ignore[union-attr, misc]
    synapses = np.loadtxt(Path(folder) / "datasets/drosophila/left_adjacency.csv")
    there = synapses + synapses.T > 0
    np.fill_diagonal(there, False)
    return Data(x=torch.eye(len(there)), edge_index=torch.from_numpy(np.stack(there.nonzero())))


def network(features: int) -> Any:
    """Return the VGAE of torch-geometric's own example.

    Args:
        features: Of a node.
    """
    from torch_geometric.nn import VGAE, GCNConv

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = GCNConv(features, 2 * D)
            self.conv_mu, self.conv_logstd = GCNConv(2 * D, D), GCNConv(2 * D, D)

        def forward(self, x: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
            x = self.conv1(x, edge_index).relu()
            return self.conv_mu(x, edge_index), self.conv_logstd(x, edge_index)

    return VGAE(Encoder())


def measured(model: Any, data: Any) -> dict[str, float]:
    """Return torch-geometric's own measures of edges that the encoder does not see.

    Args:
        model: In eval mode.
        data: A part of `RandomLinkSplit`.
    """
    with torch.no_grad():
        z = model.encode(data.x, data.edge_index)
        pairs = data.pos_edge_label_index, data.neg_edge_label_index
        auc, precision = model.test(z, *pairs)
        return {"AUC": float(auc), "AP": float(precision), "recon_loss, unseen": float(model.recon_loss(z, *pairs))}


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train, and measure.

    Args:
        seed: Of the split, of the weights, of the noise and of the pairs without an edge.
        kind: Of the remedy.
        setting: Its own.
    """
    from torch_geometric.transforms import RandomLinkSplit

    from lambda_vae.integrations.pyg import diagnose_pyg, equalize_pyg, graph_bound

    whole = fly()
    split = RandomLinkSplit(0.1, 0.1, is_undirected=True, split_labels=True, add_negative_train_samples=False)
    train, validation, test = split(whole)
    model = network(train.num_features)
    weight = setting.get("kl_weight", 1 / train.num_nodes)
    if "delta" in setting:
        equalize_pyg(model, latent_dim=D, steps_per_epoch=1, total_epochs=STEPS, **setting)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model.train()
    for step in range(STEPS):
        share = min(1.0, (step + 1) / (2 * STEPS / 3)) if kind == "KL warm-up" else 1.0
        optimizer.zero_grad()
        z = model.encode(train.x, train.edge_index)
        loss = model.recon_loss(z, train.pos_edge_label_index) + share * weight * model.kl_loss()
        loss.backward()
        optimizer.step()
    model.eval()
    bound, many = graph_bound(model, test, whole.edge_index)
    return Found(
        report=diagnose_pyg(model, test),
        validation=measured(model, validation),
        test={**measured(model, test), "bound": bound, "nll_iw": many},
        modules=(model,),
    )


PACKAGE = Package(
    title="torch-geometric VGAE",
    package="torch-geometric",
    requires=("torch-geometric==2.8.1",),
    no_deps=("graspologic==3.4.4",),  # for its graph alone
    users="link prediction in graphs",
    data=(
        "The left mushroom body of a fly larva, of graspologic 3.4.4's wheel: 209 neurons, 5,559 pairs with synapses, "
        "of which 80% train, 10% validation, 10% test; no features. Network, loss and 400 steps of torch-geometric's "
        "own example. The bound is that of the whole graph, all pairs, a node; the encoder does not see the test edges"
    ),
    latent_dim=D,
    loss="edges or none in equal shares, KL weight 1/209 of a mean over nodes against a mean over pairs",
    metric="AUC",
    more=True,
    remedies={
        "default": ({},),
        "own knob": ({"kl_weight": 0.0}, {"kl_weight": 0.05}, {"kl_weight": 0.2}, {"kl_weight": 1.0}),
        "KL warm-up": ({},),
        "lambda released": tuple({"delta": delta, "release_epochs": STEPS // 3} for delta in (1.05, 1.1, 1.2)),
        "lambda": ({"delta": 1.1},),
    },
    run=run,
    diagnose="diagnose_pyg(model, data)",
    equalize="equalize_pyg(model, 1.1, latent_dim=16, steps_per_epoch=1, total_epochs=400, release_epochs=133)",
    none_mends=(
        "AUC ranks the products of mu, whatever their scale, and cannot see a collapse: with all 16 dimensions dead "
        "(KL weight 1) it is 0.917 for 0.903, while recon_loss on unseen pairs is 1.385, by chance 2 ln 2, and the "
        "bound 66 nats worse. Of the weights that leave codes alive only 0 is better by more than its spread, by "
        "0.006, at a bound 37 nats worse"
    ),
    seeds=(0, 1, 2, 3, 4),
)
