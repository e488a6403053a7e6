"""The VAE of mlcolvar on its own three states of a reaction."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from package import DEFAULT, Found, Package

EPOCHS = 500
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def frames(seed: int) -> tuple[Tensor, Tensor]:
    """Return the frames of the states A, B and C in the seed's order, and which state each is of.

    Args:
        seed: Of the order: 91 to train, 31 to choose by, 31 to test.
    """
    import mlcolvar

    folder = Path(str(mlcolvar.__file__)).parent / "tests" / "data"
    x = np.concatenate([np.loadtxt(folder / f"state_{state}.dat")[:, 1:] for state in "ABC"])
    order = np.random.default_rng(seed).permutation(len(x))
    return torch.tensor(x[order]).float(), torch.tensor(np.repeat(range(3), 51)[order])


def fitted(x: Tensor, setting: Mapping[str, Any]) -> nn.Module:
    """Return the model as Lightning's Trainer leaves it.

    Args:
        x: Of which the first 91 are trained on.
        setting: beta, delta, release_epochs or warm_up.
    """
    import lightning
    from mlcolvar.cvs import VariationalAutoEncoderCV
    from mlcolvar.data import DictDataset, DictModule

    from lambda_vae.integrations.mlcolvar import equalize_mlcolvar

    asked = {name: value for name, value in setting.items() if name != "unit"}
    beta, warm_up = asked.pop("beta", 1.0), asked.pop("warm_up", None)
    model: Any = VariationalAutoEncoderCV(n_cvs=2, encoder_layers=[28, 15, 10], beta=beta)
    callbacks = [] if warm_up is None else [_warmed(beta, warm_up)]
    if "delta" in asked:
        equalize_mlcolvar(model, **asked)
    data = DictModule(DictDataset({"data": x[:122]}), lengths=[91 / 122, 31 / 122], random_split=False)
    lightning.Trainer(max_epochs=EPOCHS, accelerator="cpu", callbacks=callbacks, **QUIET).fit(model, data)
    return model.eval()


def _warmed(beta: float, epochs: int) -> Any:
    """Lightning's callback for a KL weight that rises in a straight line over so many epochs."""
    from lightning.pytorch.callbacks import LambdaCallback

    def begin(trainer: Any, module: Any) -> None:
        module.beta = beta * min(1.0, trainer.current_epoch / epochs)

    return LambdaCallback(on_train_epoch_start=begin)


def measured(model: Any, x: Tensor, states: Tensor, part: slice, unit: float) -> dict[str, float]:
    """Return what users of mlcolvar look at, on a part of the frames.

    Args:
        model: Trained.
        x: All frames, in the model's unit.
        states: Of the frames.
        part: To measure.
        unit: Of x, against that of the data.
    """
    from sklearn.neighbors import KNeighborsClassifier

    with torch.no_grad():
        q = [model.encode_decode(x) for _ in range(32)]
        cv, spread = q[0][0], (q[0][1] / 2).exp()
        left = torch.stack([(out[part] - x[part]).square().mean() for _, _, out in q]).mean()
        kl = 0.5 * (cv**2 + spread**2 - 2 * spread.log() - 1.0)[part].sum(1).mean()
        drawn = cv + spread * torch.randn_like(cv)

    def told(codes: Tensor) -> float:
        neighbours = KNeighborsClassifier(5).fit(codes[:91], states[:91])
        return float(neighbours.score(codes[part], states[part]))

    return {
        "states told": told(cv),
        "states told, of z": told(drawn),
        "reconstruction loss": float(left) / unit**2,
        "valid_loss": float(left + model.beta * kl),
    }


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train, and measure.

    Args:
        seed: Of the split, of the weights and of the noise.
        kind: Of the remedy.
        setting: Its own.
    """
    from lambda_vae.integrations.mlcolvar import diagnose_mlcolvar

    x, states = frames(seed)
    unit = float(setting.get("unit", 1.0))
    x = x * unit
    model = fitted(x, setting)
    parts = slice(91, 122), slice(122, 153)
    reports = [diagnose_mlcolvar(model, x[part]) for part in parts]
    back = -28 * float(np.log(unit))  # a density of the data in their own unit
    validation, test = (measured(model, x, states, part, unit) for part in parts)
    return Found(
        report=reports[1],
        validation={**validation, "bound": reports[0].nll_bound + back},
        test={**test, "bound": reports[1].nll_bound + back, "nll_iw": reports[1].nll_iw + back},
        modules=(model,),
    )


PACKAGE = Package(
    title="mlcolvar VAE CV",
    package="mlcolvar",
    requires=("mlcolvar==1.3.1",),
    users="molecular dynamics",
    data=(
        "mlcolvar's own states A, B, C of a reaction: 153 frames of 28 distances, 91 to train, 31 validation, 31 test "
        "by chance (neighbours in time may fall apart). 500 of Lightning's 1,000 epochs, batches, optimiser and all "
        "else by default; layers 28, 15, 10. States told: 5 neighbours among the training frames in the plane of the "
        "2 CVs; of several that tell all, the one of the least beta stands here"
    ),
    latent_dim=2,
    loss="Gaussian of noise variance beta F / 2 = 14 in the data's own units, KL weight 1",
    metric="states told",
    more=True,
    remedies={
        DEFAULT: ({},),
        "own knob": ({"beta": 1e-4}, {"beta": 1e-3}, {"beta": 1e-2}, {"unit": 10.0}),
        "KL warm-up": ({"warm_up": 333}, {"beta": 1e-4, "warm_up": 333}),
        "lambda released": (
            {"delta": 1.1, "release_epochs": 167},
            {"beta": 1e-2, "delta": 1.1, "release_epochs": 167},
            {"beta": 1e-4, "delta": 1.1, "release_epochs": 167},
        ),
        "lambda": ({"delta": 1.1}, {"beta": 1e-4, "delta": 1.1}),
    },
    run=run,
    diagnose="diagnose_mlcolvar(model, datamodule)",
    equalize="equalize_mlcolvar(model, delta=1.1, release_epochs=167)",
)
