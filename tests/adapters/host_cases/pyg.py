"""torch-geometric: a VGAE on the karate club that comes within it."""

import torch
from host_contract import HostCase
from torch import nn
from torch_geometric import seed_everything
from torch_geometric.data import Data
from torch_geometric.datasets import KarateClub
from torch_geometric.nn import ARGVA, GAE, VGAE, GCNConv
from torch_geometric.utils import negative_sampling

from lambda_vae.integrations.pyg import diagnose_pyg, equalize_pyg, graph_bound

D = 6


class Encoder(nn.Module):
    """Of torch-geometric's own example."""

    def __init__(self, features):
        super().__init__()
        self.first, self.mu, self.log_std = GCNConv(features, 2 * D), GCNConv(2 * D, D), GCNConv(2 * D, D)

    def forward(self, x, edge_index):
        h = self.first(x, edge_index).relu()
        return self.mu(h, edge_index), self.log_std(h, edge_index)


def graph():
    """Thirty-four people, 78 ties."""
    return KarateClub()[0]


def trained(delta=None, steps=30, weight=None):
    """A VGAE after some steps, in eval mode."""
    seed_everything(0)
    data = graph()
    others = negative_sampling(data.edge_index)  # by Python's own generator, which the tests' type checker draws from
    model = VGAE(Encoder(data.num_features))
    if delta is not None:
        equalize_pyg(model, delta, D, steps_per_epoch=2)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    weight = 1 / data.num_nodes if weight is None else weight
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        z = model.encode(data.x, data.edge_index)
        (model.recon_loss(z, data.edge_index, others) + weight * model.kl_loss()).backward()
        optimizer.step()
    return model.eval()


def _train(delta):
    return {name: value for name, value in trained(delta).state_dict().items() if "equalizer" not in name}


def _kl():
    model, data = trained(), graph()
    with torch.no_grad():
        model.encode(data.x, data.edge_index)
    return diagnose_pyg(model, data).rate, float(model.kl_loss())


def _planted():
    model = trained(steps=100)
    with torch.no_grad():
        for part in (model.encoder.mu, model.encoder.log_std):
            part.lin.weight[[1, 4]] = 0.0
            part.bias[[1, 4]] = 0.0
    return diagnose_pyg(model, graph()), {1, 4}


CASE = HostCase(
    train=_train,
    kl=_kl,
    planted=_planted,
    refused={
        "a GAE has no noise": lambda: diagnose_pyg(GAE(Encoder(34)), graph()),
        "give a VGAE, of an ARGVA": lambda: equalize_pyg(ARGVA(Encoder(34), nn.Linear(D, 1)), 1.1, D),
        r"torch.eye\(data.num_nodes\)": lambda: diagnose_pyg(trained(steps=0), Data(edge_index=graph().edge_index)),
        "the decoder is a Linear": lambda: graph_bound(VGAE(Encoder(34), nn.Linear(D, 1)), graph()),
    },
)
