"""Further packages whose VAE is trained plain or with lambda, one function each, as in equalized_hosts.py."""

import tempfile

import numpy as np
import torch
from torch import Tensor, nn

from equalized_hosts import Found, codes

__all__ = ["act", "monai", "pyod", "vgae"]


def pyod(seed: int, delta: float | None) -> Found:
    """The VAE of pyod on its own generated data, 1,000 x 20, a tenth of them outliers: its defaults, 30 epochs."""
    from pyod.models import vae as package
    from pyod.utils.data import generate_data
    from sklearn.metrics import roc_auc_score

    x, unseen, _, outlier = generate_data(n_train=1000, n_test=1000, n_features=20, offset=1, random_state=seed)
    model = package.VAE(verbose=0, random_state=seed)
    equalizer = None
    if delta is None:
        model.fit(x)
    else:
        from lambda_vae.adapters import equalize_class

        settings = {"steps_per_epoch": 32, "total_epochs": 30, "release_epochs": 10}
        with equalize_class(package.VAEModel, 2, delta, **settings) as equalizer:
            model.fit(x)
    scores = [roc_auc_score(outlier, model.decision_function(unseen)) for _ in range(8)]
    scaled = torch.from_numpy((unseen - model.X_mean) / model.X_std).float()
    with torch.no_grad():
        mu, logvar = model.model.eval().encode(scaled)
    return {"ROC AUC": float(np.mean(scores)), **codes(mu, logvar)}, (model.model,), equalizer


def monai(seed: int, delta: float | None) -> Found:
    """The VarAutoEncoder of MONAI on scikit-learn's digits, with a loss of cross-entropy and KL: 60 epochs."""
    from monai.networks.nets import VarAutoEncoder
    from sklearn.datasets import load_digits

    x = torch.from_numpy(load_digits().images / 16).float()[:, None]
    train, unseen, epochs = x[:1400], x[1400:], 60
    model = VarAutoEncoder(2, (1, 8, 8), 1, 32, channels=(16, 32), strides=(1, 2), use_sigmoid=False)
    equalizer = None
    if delta is not None:
        from lambda_vae.adapters import equalize

        equalizer = equalize(model, 32, delta, steps_per_epoch=14, total_epochs=60, release_epochs=20)

    def loss(batch: Tensor) -> Tensor:
        out, mu, logvar, _ = model(batch)
        cross = nn.functional.binary_cross_entropy_with_logits(out, batch, reduction="sum")
        return (cross + 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum()) / len(batch)

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for batch in train[torch.randperm(len(train))].split(100):
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()
    with torch.no_grad():
        model.eval()
        mu, logvar = model.encode_forward(unseen)
        draws = [model.decode_forward(mu + (0.5 * logvar).exp() * torch.randn_like(mu), False) for _ in range(16)]
        cross = nn.functional.binary_cross_entropy_with_logits(
            torch.stack(draws), unseen.expand(16, *unseen.shape), reduction="sum"
        )
    found = codes(mu, logvar)
    return {"loss, unseen": float(cross) / 16 / len(unseen) + found["KL"], **found}, (model,), equalizer


def vgae(seed: int, delta: float | None) -> Found:
    """VGAE of torch-geometric, KL weight 1 / N, on its planted partition, a tenth of the edges unseen: 200 steps."""
    from torch_geometric.datasets import StochasticBlockModelDataset
    from torch_geometric.nn import VGAE, GCNConv
    from torch_geometric.transforms import RandomLinkSplit

    class Encoder(nn.Module):
        """Of its own example."""

        def __init__(self, features: int, latent: int) -> None:
            super().__init__()
            self.first, self.mu, self.log_std = (
                GCNConv(features, 2 * latent),
                GCNConv(2 * latent, latent),
                GCNConv(2 * latent, latent),
            )

        def forward(self, x: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
            h = self.first(x, edges).relu()
            return self.mu(h, edges), self.log_std(h, edges)

    split = RandomLinkSplit(0.0, 0.1, is_undirected=True, split_labels=True, add_negative_train_samples=False)
    chances = torch.full((4, 4), 0.02) + 0.18 * torch.eye(4)
    with tempfile.TemporaryDirectory() as folder:
        graph = StochasticBlockModelDataset(folder, [50] * 4, chances)[0]
    graph.x = torch.eye(200)
    train, _, test = split(graph)
    model, epochs = VGAE(Encoder(train.num_features, 16)), 200
    equalizer = None
    if delta is not None:
        from lambda_vae.adapters import equalize

        equalizer = equalize(model, 16, delta, steps_per_epoch=1, total_epochs=200, release_epochs=67)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(epochs):
        model.train()
        optimizer.zero_grad()
        z = model.encode(train.x, train.edge_index)
        (model.recon_loss(z, train.pos_edge_label_index) + model.kl_loss() / train.num_nodes).backward()
        optimizer.step()
    with torch.no_grad():
        model.eval()
        z = model.encode(test.x, test.edge_index)
        auc, precision = model.test(z, test.pos_edge_label_index, test.neg_edge_label_index)
        mu, log_std = model.encoder(test.x, test.edge_index)
    return {"AUC": float(auc), "AP": float(precision), **codes(mu, 2 * log_std.clamp(max=10))}, (model,), equalizer


def act(seed: int, delta: float | None) -> Found:
    """The ACTModel of torchrl, kl_weight 10, on made-up episodes of three styles; one layer each, 20 epochs."""
    from tensordict import TensorDict
    from tensordict.nn import TensorDictModule
    from torchrl.modules.models import ACTModel
    from torchrl.objectives import ACTLoss

    seen, style = torch.randn(2000, 6), torch.randn(2000, 3) * torch.tensor([1.0, 0.5, 0.2])
    ramp, shapes = torch.linspace(0, 1, 10)[:, None], torch.randn(3, 10, 4)
    moves = (seen @ torch.randn(6, 4) * 0.4)[:, None] * ramp + torch.einsum("nk,kta->nta", style, shapes)
    model, epochs = (
        ACTModel(6, 4, 10, hidden_dim=64, nheads=4, num_encoder_layers=1, num_decoder_layers=1, latent_dim=16),
        20,
    )
    equalizer = None
    if delta is not None:
        from lambda_vae.adapters import equalize

        settings = {"steps_per_epoch": 18, "total_epochs": 20, "release_epochs": 7}
        equalizer = equalize(model, 16, delta, into="latent_out_proj", posterior="latent_proj", **settings)
    keys = {"in_keys": ["observation", "action_chunk"], "out_keys": ["action_pred", "mu", "log_var"]}
    loss = ACTLoss(TensorDictModule(model, **keys))
    optimizer = torch.optim.Adam(loss.parameters(), 1e-3)
    for _ in range(epochs):
        for i in torch.randperm(1800).split(100):
            out = loss(TensorDict({"observation": seen[i], ("vla_action", "chunk"): moves[i]}, [len(i)]))
            optimizer.zero_grad()
            out["loss_act"].backward()
            optimizer.step()
    loss.eval()
    unseen = TensorDict({"observation": seen[1800:], ("vla_action", "chunk"): moves[1800:]}, [200])
    with torch.no_grad():
        out = loss(unseen)
        with loss.actor_network_params.to_module(loss.actor_network):
            _, mu, logvar = loss.actor_network.module(seen[1800:], moves[1800:])
    return (
        {**{key: float(value) for key, value in out.items() if value.numel() == 1}, **codes(mu, logvar)},
        (loss,),
        equalizer,
    )
