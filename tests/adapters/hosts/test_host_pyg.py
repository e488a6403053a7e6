"""A VGAE: the bound of its graph against the exact likelihood, and the KL weight above which nothing lives."""

import math
import re

import pytest
import torch

pytest.importorskip("torch_geometric", reason="torch-geometric is an extra")

from host_cases.pyg import Encoder, graph, trained
from torch_geometric.data import Batch, Data
from torch_geometric.nn import ARGVA, VGAE

from lambda_vae import InputError
from lambda_vae.integrations.pyg import diagnose_pyg, graph_bound

pytestmark = pytest.mark.filterwarnings("default")

TRIANGLE = torch.tensor([[0, 1, 2], [1, 2, 0]])


class Fixed(torch.nn.Module):
    """An encoder that gives each node a posterior of its own, whatever it sees."""

    def __init__(self, mu, log_std):
        super().__init__()
        self.mu, self.log_std = torch.nn.Parameter(mu), torch.nn.Parameter(log_std)

    def forward(self, x, edge_index):
        return self.mu, self.log_std


def exact(edges, nodes):
    """-ln p(A) a node, one latent dimension a node, on a grid."""
    grid = torch.linspace(-7.0, 7.0, 141, dtype=torch.float64)
    weight = torch.exp(-0.5 * grid**2) / math.sqrt(2 * math.pi) * (grid[1] - grid[0])
    there = {frozenset(pair) for pair in edges.T.tolist()}
    one = torch.sigmoid(grid[:, None] * grid)
    p = [one if frozenset(pair) in there else 1 - one for pair in ((0, 1), (0, 2), (1, 2))]
    assert nodes == 3
    return -math.log(float(torch.einsum("a,b,c,ab,ac,bc->", weight, weight, weight, *p))) / nodes


@pytest.mark.parametrize("edges", [TRIANGLE, TRIANGLE[:, :1]], ids=["triangle", "one edge"])
@pytest.mark.parametrize("mu", [0.0, 0.7])
def test_the_bound_of_the_graph_holds_and_many_samples_reach_its_likelihood(edges, mu):
    data = Data(x=torch.eye(3), edge_index=edges)
    model = VGAE(Fixed(torch.full((3, 1), mu), torch.full((3, 1), -0.1)))
    one, many = graph_bound(model, data, samples=20_000)
    truth = exact(edges, 3)
    assert one > truth + 0.005
    assert many == pytest.approx(truth, abs=0.01)


def test_one_direction_of_the_edges_is_enough_and_self_loops_count_for_nothing():
    model, data = trained(steps=5), graph()
    half = data.edge_index[:, data.edge_index[0] <= data.edge_index[1]]
    loop = torch.cat([half, torch.tensor([[0], [0]])], 1)
    assert graph_bound(model, data, samples=2) == graph_bound(model, data, loop, samples=2)


@pytest.mark.parametrize(("share", "lives"), [(0.5, True), (1.2, False)])
def test_the_weight_above_which_nothing_lives(share, lives):
    weight = re.search(r"a weight above about ([.\d]+) on this graph", _note(trained(steps=1)))[1]
    report = diagnose_pyg(trained(steps=200, weight=share * float(weight)), graph())
    assert bool(report.active_units) is lives


def _note(model):
    return diagnose_pyg(model, graph()).notes[-1]


def test_no_weight_is_named_for_another_decoder_or_a_graph_of_all_edges():
    model = trained(steps=1)
    assert "linear theory" in _note(model)
    everyone = Data(x=graph().x, edge_index=(torch.ones(34, 34) - torch.eye(34)).nonzero().T)
    assert "linear theory" not in diagnose_pyg(model, everyone).notes[-1]
    model.decoder = torch.nn.Linear(6, 1)
    assert "linear theory" not in _note(model)


def test_sigma_is_the_exponential_of_the_encoders_second_answer():
    model = VGAE(Fixed(torch.randn(34, 2), torch.full((34, 2), math.log(0.3)))).eval()
    assert diagnose_pyg(model, graph()).std_mean.tolist() == pytest.approx([0.3, 0.3])


def test_a_tuple_holds_all_that_the_encoder_takes_and_the_part_of_an_argva_is_a_vgae():
    model = ARGVA(Encoder(34), torch.nn.Linear(6, 1)).VGAE.eval()
    data = graph()
    one = diagnose_pyg(model, data)
    assert diagnose_pyg(model, (data.x, data.edge_index)).rate == one.rate


class Dropping(Encoder):
    """With dropout."""

    def forward(self, x, edge_index):
        return super().forward(torch.nn.functional.dropout(x, 0.5, self.training), edge_index)


def test_the_bound_in_train_mode_is_that_of_eval_mode():
    torch.manual_seed(0)
    model = VGAE(Dropping(graph().num_features))
    there = graph_bound(model.eval(), graph())
    assert graph_bound(model.train(), graph()) == there
    assert model.encoder.training


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda one: Batch.from_data_list([one, one]), "the data hold 2 graphs"),
        (lambda one: (one.x, torch.eye(len(one.x))), r"of shape \[.*give edges="),
        (lambda one: Data(x=one.x * math.nan, edge_index=one.edge_index), "not finite"),
    ],
    ids=["two graphs", "a matrix", "NaN"],
)
def test_the_bound_of_what_is_no_graph_of_finite_numbers_is_refused(change, match):
    with pytest.raises(InputError, match=match):
        graph_bound(trained(), change(graph()))


def test_the_bound_needs_a_sample():
    with pytest.raises(InputError, match="samples is 0"):
        graph_bound(trained(), graph(), samples=0)
