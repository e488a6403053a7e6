"""mlcolvar's VariationalAutoEncoderCV as the contract asks it."""

import lightning
import torch
from host_contract import HostCase
from mlcolvar.cvs import AutoEncoderCV, VariationalAutoEncoderCV
from mlcolvar.data import DictDataset, DictModule

from lambda_vae.integrations.mlcolvar import diagnose_mlcolvar, equalize_mlcolvar

#: In units of which the default noise of sqrt(6 / 2) is little.
X = (
    20.0
    * torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    @ torch.linspace(-1, 1, 18).reshape(3, 6).sin()
)
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def data(**more):
    return DictModule(DictDataset({"data": X, **more}), batch_size=40)


def made(**options):
    torch.manual_seed(0)
    return VariationalAutoEncoderCV(n_cvs=3, encoder_layers=[6, 16], **options)


def fitted(delta=None, epochs=4, datamodule=None, model=None):
    model = model or made()
    if delta is not None:
        equalize_mlcolvar(model, delta, refresh_every=1)
    lightning.Trainer(max_epochs=epochs, **QUIET).fit(model, datamodule or data())
    return model


def train(delta):
    return {name: value.clone() for name, value in fitted(delta).state_dict().items()}


def kl():
    model, given = fitted(), data()
    given.setup()
    x = given.val_dataloader().dataset["data"]
    with torch.no_grad():
        mean, logvar, out = model.eval().encode_decode(x)
        own = model.loss_fn(target=x, output=out, mean=mean, log_variance=logvar, return_loss_terms=True)[2]
    return diagnose_mlcolvar(model, given, iw_samples=2).rate, float(own)


def planted():
    model = fitted(epochs=40)
    with torch.no_grad():
        for layer in (model.mean_nn, model.log_var_nn):
            layer.weight[1] = layer.bias[1] = 0.0
    return diagnose_mlcolvar(model, X, iw_samples=2), {1}


CASE = HostCase(
    train=train,
    kl=kl,
    planted=planted,
    refused={
        r"a AutoEncoderCV; give mlcolvar.cvs.Var": lambda: diagnose_mlcolvar(AutoEncoderCV([6, 3]), X),
        r"a Linear; give mlcolvar.cvs.Variational": lambda: equalize_mlcolvar(torch.nn.Linear(2, 2), 1.1),
        r"of shape \[200, 5\]; give .* \[N, 6\]": lambda: diagnose_mlcolvar(made(), X[:, :5]),
        r"beta is 0: .* give std=": lambda: diagnose_mlcolvar(made(beta=0.0), X),
        r"'weights', which weigh the KL": lambda: diagnose_mlcolvar(
            made(), DictDataset({"data": X, "weights": torch.ones(200)})
        ),
        r"delta is 1.0": lambda: equalize_mlcolvar(made(), 1.0),
    },
)
