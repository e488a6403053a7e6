"""torch-geometric: VGAE, whose examples are the nodes of one graph."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lambda_vae.any_vae.modes import evaluated
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing import HostEqualizer, equalize
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import report_on
from lambda_vae.integrations.tested import needed

__all__ = ["diagnose_pyg", "equalize_pyg", "graph_bound"]

_DEPEND = "Nodes with an edge depend on one another; standard errors take them for independent."


def diagnose_pyg(model: Any, data: Any, **options: Any) -> CollapseReport:
    """Return KL, sigma, signal and capacity of every latent dimension of a VGAE, and a verdict on each.

    The examples are the nodes. An edge couples two of them, so no node has a likelihood of its own: there are no
    bounds and no causes. `graph_bound` bounds the likelihood of the graph as a whole. The encoder's second output is
    ln sigma, contrary to the docstring of VGAE, and is clipped at 10 as in `encode`; the KL is `model.kl_loss()`.

    Args:
        model: VGAE, in eval mode.
        data: A graph with `x` and `edge_index`, such as the training part of `RandomLinkSplit`, or a tuple of the
            encoder's arguments, the nodes' features first.

    Raises:
        InputError: Another model, or data without features or edges.

    Source:
        torch-geometric 2.8.1, nn/models/autoencoder.py, `VGAE`.
    """
    largest = _largest(model)
    inputs = _inputs(data)
    nodes = len(inputs[0])

    def encode(which: Tensor) -> tuple[Tensor, Tensor]:
        mu, log_std = model.encoder(*inputs)  # the graph is not encoded in parts
        return mu[which[:, 0]], log_std[which[:, 0]].clamp(max=largest)

    own = {"takes": "log_std", "batch_size": nodes, **options}
    report = report_on(encode, None, torch.arange(nodes)[:, None], own, model=model, notes=[_DEPEND])
    return replace(report, notes=(*report.notes, _note(model, inputs[1], nodes, len(report.kl))))


def equalize_pyg(model: Any, delta: float, latent_dim: int, **settings: Any) -> HostEqualizer:
    """Return the equalizer that from now on narrows the draws of `encode` in train mode.

    Call `equalizer.end_epoch()` after each epoch, or give steps_per_epoch: 1 if a step uses the whole graph.
    `kl_loss()` stays the model's own.

    Args:
        model: VGAE.
        latent_dim: D.

    Source:
        torch-geometric 2.8.1, `VGAE.reparametrize`.
    """
    _largest(model)
    return equalize(model, latent_dim, delta, method="reparametrize", takes="log_std", **settings)


def graph_bound(
    model: Any, data: Any, edges: Tensor | None = None, *, samples: int = 64, generator: torch.Generator | None = None
) -> tuple[float, float]:
    """Return two upper bounds on -ln p(A) of the whole graph, in nats a node: the ELBO's, and importance-weighted.

    Every pair of nodes counts once, as an edge or as none: -E_q ln p(A|z) + KL, with the decoder's sigmoid(z_i . z_j)
    as probability of an edge and q the encoder's posterior given `data`. It is a bound whatever q is, so the graph may
    have edges that the encoder does not get. The inner product has no parameters: p(A) is the same for all models of
    one latent_dim, and a lower bound means a better posterior.

    Args:
        model: VGAE with its InnerProductDecoder; measured in eval mode, and left as it was.
        data: The encoder's input, as for `diagnose_pyg`.
        edges: Of the graph, [2, E], undirected: one direction is enough; by default those of `data`.
        samples: Of the whole graph, for the importance-weighted bound.
        generator: Of the noise.

    Raises:
        InputError: Another model or decoder, data without features or edges, or several graphs.

    Source:
        Kipf & Welling, arXiv:1611.07308, section 2.2; Burda et al., arXiv:1509.00519, Eq. 8.
    """
    largest = _largest(model)
    (inner,) = needed("pyg", "torch_geometric.nn.models.autoencoder.InnerProductDecoder")
    if type(model.decoder) is not inner:
        raise InputError(
            f"the decoder is a {type(model.decoder).__name__}, and what it makes of all pairs is not known; leave "
            "graph_bound to models with VGAE's own InnerProductDecoder"
        )
    inputs = _inputs(data)
    edges = inputs[1] if edges is None else edges
    if not _indices(edges):
        raise InputError(
            f"the edges are a {type(edges).__name__} of shape {list(getattr(edges, 'shape', ()))}; give edges=, an "
            "index [2, E] of nodes"
        )
    if samples < 1:
        raise InputError(f"samples is {samples}; it must be at least 1")
    if getattr(data, "num_graphs", 1) > 1:
        raise InputError(f"the data hold {data.num_graphs} graphs, between which no edge can be; give one at a time")
    generator = generator or torch.Generator(inputs[0].device).manual_seed(0)
    with torch.no_grad(), evaluated(model.encoder):
        mu, log_std = model.encoder(*inputs)
        log_std = log_std.clamp(max=largest)
        nodes = len(mu)
        adjacency = torch.zeros(nodes, nodes, device=mu.device)
        if not bool((mu.isfinite() & log_std.isfinite()).all()):
            raise InputError("the encoder's answer is not finite; look for NaN in x")
        one, other = edges
        adjacency[one, other] = adjacency[other, one] = 1.0
        pairs = torch.triu_indices(nodes, nodes, 1, device=mu.device)
        signs = 2.0 * adjacency[pairs[0], pairs[1]] - 1.0
        kl = 0.5 * (mu**2 + (2.0 * log_std).exp() - 2.0 * log_std - 1.0).sum().double()
        log_p, log_w = [], []
        for _ in range(samples):
            noise = torch.randn(mu.shape, generator=generator, device=mu.device)
            z = mu + log_std.exp() * noise
            log_p.append(torch.nn.functional.logsigmoid(signs * (z @ z.T)[pairs[0], pairs[1]]).sum().double())
            log_w.append(log_p[-1] + (0.5 * (noise**2 - z**2) + log_std).sum().double())
    bound = kl - torch.stack(log_p).mean()
    many = math.log(samples) - torch.logsumexp(torch.stack(log_w), 0)
    return float(bound) / nodes, float(many) / nodes


def _largest(model: Any) -> float:
    """Upper limit of ln sigma."""
    kind, largest = needed("pyg", *(f"torch_geometric.nn.models.autoencoder.{name}" for name in ("VGAE", "MAX_LOGSTD")))
    if not isinstance(model, kind):
        name = type(model).__name__
        raise InputError(
            f"the model is a {name}; give a VGAE"
            + (", of an ARGVA its part model.VGAE" if name == "ARGVA" else ", as a GAE has no noise and no KL")
        )
    return float(largest)


def _inputs(data: Any) -> tuple[Any, ...]:
    inputs = data if isinstance(data, tuple) else (getattr(data, "x", None), getattr(data, "edge_index", None))
    if len(inputs) < 2 or inputs[0] is None or inputs[1] is None:
        raise InputError(
            "data has no x or no edge_index; give a graph that has both (data.x = torch.eye(data.num_nodes) where "
            "nodes have no features), or the tuple of what model.encoder takes"
        )
    return tuple(inputs)


def _indices(edges: object) -> bool:
    """Whether these are [2, E] indices of nodes."""
    return isinstance(edges, Tensor) and not edges.is_floating_point() and edges.dim() == 2 and len(edges) == 2


def _note(model: Any, edges: Any, nodes: int, latent_dim: int) -> str:
    (inner,) = needed("pyg", "torch_geometric.nn.models.autoencoder.InnerProductDecoder")
    known = _indices(edges) and type(model.decoder) is inner
    weight = _collapsing_weight(edges.cpu(), nodes, latent_dim) if known else None
    limit = ""
    if weight is not None:
        limit = f" By linear theory no dimension outlives a weight above about {weight:.2g} on this graph."
    return (
        "recon_loss is a mean over edges plus a mean over pairs without one, and kl_loss() a mean over nodes: the "
        f"usual kl_loss() / {nodes} weighs the KL by {1 / nodes:.2g}.{limit}"
    )


def _collapsing_weight(edges: Tensor, nodes: int, latent_dim: int) -> float | None:
    r"""Return the KL weight above which the state of mu = 0 and sigma = 1 is stable; None where there is none.

    To second order in mu the loss there is :math:`\sum_k \mu_k^T (-B/2 + c\,S + w/(2N)) \mu_k`: B is the mean over
    edges less that over the other pairs, c the curvature of ln sigmoid at noise times noise, and S each node's share.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import LinearOperator, eigsh

    one, other = edges[:, edges[0] != edges[1]].numpy()
    both = np.concatenate([one, other]), np.concatenate([other, one])
    adjacency = (coo_array((np.ones(len(both[0])), both), shape=(nodes, nodes)).tocsr() > 0).astype(float)
    degree = adjacency.sum(1)
    count = degree.sum()
    missing = nodes * (nodes - 1) - count
    if nodes < 3 or not count or not missing:
        return None
    noise = torch.randn(2, 2**15, latent_dim, generator=torch.Generator().manual_seed(0))
    p = (noise[0] * noise[1]).sum(1).sigmoid()
    curvature = float((p * (1 - p) * noise[0].square().mean(1)).mean())
    shares = 2 * curvature * (degree / count + (nodes - 1 - degree) / missing)

    def product(v: Any) -> Any:
        v = v.reshape(-1)
        linked = adjacency @ v
        return nodes * (linked / count - (v.sum() - v - linked) / missing - shares * v)

    operator = LinearOperator((nodes, nodes), matvec=product, dtype=float)
    start = np.random.default_rng(0).standard_normal(nodes)
    weight = float(eigsh(operator, k=1, which="LA", v0=start, return_eigenvectors=False)[0])
    return weight if weight > 0 else None
