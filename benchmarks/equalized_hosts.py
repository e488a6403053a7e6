"""One function a package: its VAE trained plain, or with lambda, and measured by the package's own numbers."""

import importlib.util
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["ENVIRONMENTS", "Found", "codes", "drvi", "mlcolvar", "mlcolvar_tens", "tvae", "vaecf"]

#: What to install beside lambda-vae and torch 2.13.0, for each; "--no-deps": without its own dependencies.
ENVIRONMENTS = {
    "tvae": "ctgan==0.12.1 sdmetrics==0.32.0 copulas==0.14.1 statsmodels==0.15.0",
    "vaecf": "cornac==3.0.1 --no-deps recbole==1.2.1",
    "drvi": "scvi-tools==1.4.2 scanpy==1.11.5 --no-deps drvi-py==0.2.8",
    "mlcolvar": "mlcolvar==1.3.1",
    "mlcolvar_tens": "mlcolvar==1.3.1",
    "pyod": "pyod==3.6.7",
    "monai": "monai==1.6.1",
    "vgae": "torch-geometric==2.8.1",
    "act": "torchrl==0.14.1",
}

#: What was measured, the host's parts, and the equalizer, if any.
Found = tuple[dict[str, float], tuple[nn.Module, ...], Any]


def tvae(seed: int, delta: float | None, warm_up: bool = False) -> Found:
    """The TVAE of ctgan on statsmodels' `fair`: 6,366 people, 9 columns; its defaults, 300 epochs."""
    import pandas as pd
    import statsmodels.api as sm
    from ctgan.synthesizers import tvae as package
    from sdmetrics.reports import QualityReport

    table = sm.datasets.fair.load_pandas().data
    kinds = {c: "numerical" if c in ("affairs", "yrs_married") else "categorical" for c in table}
    categories = [c for c, kind in kinds.items() if kind == "categorical"]
    test = table.sample(frac=0.2, random_state=seed)
    train = table.drop(test.index).reset_index(drop=True)
    model, epochs = package.TVAE(enable_gpu=False), 300
    equalizer = None
    with _keeping(package.Encoder) as made:
        if delta is None:
            host = package._loss_function

            def warming(weight: float, *args: Any) -> Any:
                cost, kl = host(*args)
                return cost, weight * kl

            with _replaced(package, "_loss_function", warming, 11 * epochs) if warm_up else nullcontext():
                model.fit(train, categories)
        else:
            from lambda_vae.adapters import equalize_class

            settings = {"steps_per_epoch": 11, "total_epochs": 300, "release_epochs": 100}
            with equalize_class(package.Decoder, 128, delta, posterior=package.Encoder, **settings) as equalizer:
                model.fit(train, categories)
    encoder, decoder = made[0].eval(), model.decoder.eval()
    x = torch.from_numpy(model.transformer.transform(test).astype("float32"))
    places = model.transformer.output_info_list
    with torch.no_grad():
        mu, std, logvar = encoder(x)
        outs = [decoder(mu + std * torch.randn_like(std)) for _ in range(64)]
        losses = [package._loss_function(*(out[0], x, out[1]), mu, logvar, places, 1) for out in outs]

    def quality(synthetic: "pd.DataFrame") -> dict[str, float]:
        report = QualityReport()
        columns = {"columns": {c: {"sdtype": kind} for c, kind in kinds.items()}}
        report.generate(*({"t": one} for one in (test, synthetic)), {"tables": {"t": columns}}, verbose=False)
        return {row.Property: row.Score for row in report.get_properties().itertuples()}

    np.random.seed(seed)
    taken, drawn = quality(model.sample(len(train))), quality(_drawn(model, len(train)))
    return (
        {
            "column shapes, sample()": taken["Column Shapes"],
            "pair trends, sample()": taken["Column Pair Trends"],
            "column shapes, drawn": drawn["Column Shapes"],
            "pair trends, drawn": drawn["Column Pair Trends"],
            "bound": float(np.mean([float(loss + kl) for loss, kl in losses])),
            **codes(mu, logvar),
        },
        (encoder, decoder),
        equalizer,
    )


def _drawn(model: Any, rows: int) -> Any:
    """What TVAE.sample() gives, with every category drawn from the decoder's probabilities instead of the largest."""
    with torch.no_grad():
        out, sigma = model.decoder(torch.randn(rows, model.embedding_dim))
        parts, at = [], 0
        for span in (span for column in model.transformer.output_info_list for span in column):
            part, at = out[:, at : at + span.dim], at + span.dim
            if span.activation_fn == "softmax":
                part = nn.functional.one_hot(torch.distributions.Categorical(logits=part).sample(), span.dim).float()
            else:
                part = torch.tanh(part)
            parts.append(part)
    return model.transformer.inverse_transform(torch.cat(parts, 1).numpy(), sigma.detach().numpy())


def vaecf(seed: int, delta: float | None, warm_up: bool = False) -> Found:
    """The VAECF of cornac on MovieLens 100k: its defaults, 100 epochs, a fifth of the ratings held out."""
    import cornac
    import pandas as pd
    from cornac.models.vaecf import vaecf as package

    folder = Path(str(importlib.util.find_spec("recbole").submodule_search_locations[0]))
    ratings = pd.read_csv(folder / "dataset_example/ml-100k/ml-100k.inter", sep="\t").iloc[:, :3]
    triples = [(str(u), str(i), float(r)) for u, i, r in ratings.itertuples(index=False)]
    split = cornac.eval_methods.RatioSplit(triples, test_size=0.2, seed=seed)
    model, epochs = cornac.models.VAECF(seed=seed), 100
    equalizer = None
    if delta is None:
        host = package.VAE.loss

        def warming(weight: float, *args: Any) -> Tensor:
            return host(*args[:-1], weight * args[-1])

        with _replaced(package.VAE, "loss", warming, 10 * epochs) if warm_up else nullcontext():
            model.fit(split.train_set)
    else:
        from lambda_vae.adapters import equalize_class

        settings = {"steps_per_epoch": 10, "total_epochs": 100, "release_epochs": 33}
        with equalize_class(package.VAE, 10, delta, **settings) as equalizer:
            model.fit(split.train_set)
    measures = [cornac.metrics.NDCG(k=20), cornac.metrics.Recall(k=20)]
    vae, x = model.vae.eval(), split.train_set.matrix.copy()
    x.data[:] = 1.0
    x = torch.tensor(x.toarray()).float()
    average, _ = cornac.eval_methods.base_method.ranking_eval(model, measures, split.train_set, split.test_set)
    with torch.no_grad():
        mu, logvar = vae.encode(x)
        bound = torch.stack(
            [vae.loss(x, vae.decode(vae.reparameterize(mu, logvar)), mu, logvar, 1.0) for _ in range(64)]
        )
    return (
        {"NDCG@20": average[0], "recall@20": average[1], "bound": float(bound.mean()), **codes(mu, logvar)},
        (vae,),
        equalizer,
    )


def drvi(seed: int, delta: float | None) -> Found:
    """DRVI of drvi-py on 700 blood cells, the 100 genes that vary most: its defaults, 400 epochs of KL warm-up."""
    import anndata
    import scanpy
    import scvi
    from drvi.model import DRVI

    cells = scanpy.datasets.pbmc68k_reduced()
    counts = (np.expm1(cells.raw.X.toarray()) * cells.obs.n_counts.to_numpy()[:, None] / 1e4).round()
    adata = anndata.AnnData(counts[:, np.sort(np.argsort(-counts.var(0))[:100])].astype(np.float32))
    scvi.settings.seed = seed
    DRVI.setup_anndata(adata, is_count_data=True)
    model, epochs = DRVI(adata), 400
    equalizer = None
    if delta is not None:
        from lambda_vae.adapters import equalize

        settings = {"steps_per_epoch": 5, "total_epochs": 400, "release_epochs": 133}
        equalizer = equalize(model.module, 32, delta, at="z_encoder", **settings)
    model.train(max_epochs=epochs, accelerator="cpu", enable_progress_bar=False)
    unseen = model.validation_indices
    embed = anndata.AnnData(model.get_latent_representation())
    model.set_latent_dimension_stats(embed)
    mu, variance = (torch.as_tensor(v) for v in model.get_latent_representation(indices=unseen, return_dist=True))
    return (
        {
            "own ELBO, unseen cells": float(np.mean([float(model.get_elbo(indices=unseen)) for _ in range(16)])),
            "not vanished (its own count)": float((~embed.var["vanished"]).sum()),
            **codes(mu, variance.log()),
        },
        (model.module,),
        equalizer,
    )


def mlcolvar(seed: int, delta: float | None, unit: float = 1.0) -> Found:
    """The VAE of mlcolvar on its own Müller-Brown trajectory, 10,000 x 2: batches of 500, 100 epochs."""
    import lightning
    import mlcolvar as package
    from mlcolvar.cvs import VariationalAutoEncoderCV
    from mlcolvar.data import DictDataset, DictModule

    path = Path(package.__file__).parent / "tests/data/mb-mcmc.dat"
    torch.manual_seed(seed)
    data = DictModule(DictDataset({"data": torch.tensor(np.loadtxt(path)).float() * unit}), batch_size=500)
    model, epochs = VariationalAutoEncoderCV(n_cvs=2, encoder_layers=[2, 32, 16]), 100
    equalizer = None
    if delta is not None:
        from lambda_vae.adapters import equalize

        equalizer = equalize(model, 2, delta, at="rsample", steps_per_epoch=16, total_epochs=100, release_epochs=33)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", **quiet)
    trainer.fit(model, data)
    own = [trainer.validate(model, data, verbose=False)[0] for _ in range(8)]
    x = torch.cat([batch["data"] for batch in data.val_dataloader()])
    with torch.no_grad():
        mu, logvar, _ = model.eval().encode_decode(x)
    means = {name: float(np.mean([one[f"valid_{name}"] for one in own])) for name in ("loss", "reconstruction_loss")}
    return (
        {
            "valid_loss": means["loss"],
            "valid_reconstruction_loss": means["reconstruction_loss"],
            **codes(mu, logvar),
        },
        (model,),
        equalizer,
    )


def mlcolvar_tens(seed: int, delta: float | None) -> Found:
    """The same trajectory times 10, which is a matter of units."""
    return mlcolvar(seed, delta, unit=10.0)


@contextmanager
def _replaced(owner: Any, name: str, warming: Callable[..., Any], steps: int) -> Iterator[None]:
    """A loss whose KL weight rises in a straight line over the two thirds of the steps in which lambda would act."""
    host, calls = getattr(owner, name), itertools.count(1)
    setattr(owner, name, lambda *args: warming(min(1.0, next(calls) / (2 * steps // 3)), *args))
    try:
        yield
    finally:
        setattr(owner, name, host)


@contextmanager
def _keeping(cls: type[nn.Module]) -> Iterator[list[nn.Module]]:
    """The instances that are made meanwhile, of a class that its package throws away after `fit`."""
    made, init = [], cls.__init__

    def keep(self: nn.Module, *args: Any, **named: Any) -> None:
        init(self, *args, **named)
        made.append(self)

    cls.__init__ = keep
    try:
        yield made
    finally:
        cls.__init__ = init


def codes(mu: Tensor, logvar: Tensor) -> dict[str, float]:
    """Active units, KL to N(0, I) in nats an example, and the sigma of the active dimensions."""
    mu, logvar = mu.double(), logvar.double()
    active = mu.var(0) > 0.01
    std = (0.5 * logvar).exp().mean(0)
    return {
        "active": float(active.sum()),
        "KL": float(0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1).mean()),
        "sigma of active": float(std[active].mean()) if bool(active.any()) else math.nan,
    }
