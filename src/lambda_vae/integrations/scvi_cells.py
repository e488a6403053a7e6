"""q(z|x) and log p(x|z) of a cell by scvi's modules, checked against the modules' own loss.

Source:
    scvi-tools 1.4.2, module/_vae.py and module/_peakvae.py; drvi-py 0.2.8, scvi_tools_based/module/_drvi.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from scvi import REGISTRY_KEYS
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from lambda_vae.errors import InputError
from lambda_vae.integrations.host import Batches, first_of

__all__ = ["Cells", "Columns", "Disentangled", "Peaks", "chosen_cells", "columns_of"]

#: The name, width and dtype of each tensor that is registered of a cell.
Columns = tuple[tuple[str, int, torch.dtype], ...]

#: Nodes and weights of the quadrature over a latent library size: exact for polynomials of degree 9.
_NODES = tuple(zip(*np.polynomial.hermite_e.hermegauss(5), strict=True))


def columns_of(loader: Any) -> Columns:
    """Return the tensors that are registered of a cell."""
    return tuple((name, tensor.shape[1], tensor.dtype) for name, tensor in first_of(loader).items())


def chosen_cells(model: Any, adata: Any, indices: Sequence[int] | str | None) -> tuple[Sequence[int] | None, str]:
    """Return the cells to measure, and a sentence on which they are."""
    if isinstance(indices, str):
        if indices != "all":
            raise InputError(f"indices is {indices!r}; give the numbers of cells, or 'all'")
        return None, "Measured are all cells, those that the model was trained on among them."
    if indices is not None:
        return indices, f"Measured are the {len(indices)} cells of indices=."
    unseen = getattr(model, "validation_indices", None)
    if adata is not None:
        return None, "Measured are all cells of the adata that was given."
    if unseen is None or not len(unseen):
        return None, "Measured are all cells: the model has no validation_indices, so nothing here is of unseen cells."
    split = (getattr(model, f"{part}_indices", None) for part in ("train", "validation", "test"))
    if sum(len(part) for part in split if part is not None) != model.adata.n_obs:
        why = "the model's validation_indices are of other cells than it was loaded with"
        return None, f"Measured are all cells: {why}."
    return [int(cell) for cell in unseen], (
        f"Measured are {len(unseen)} cells that the model was not trained on (model.validation_indices); indices='all' "
        "measures every cell."
    )


@dataclass(frozen=True, eq=False)
class Cells:
    """The two callables of `diagnose` for the module of SCVI and LinearSCVI; a row holds all tensors of a cell."""

    #: The sum that its loss of a cell is, in words.
    parts: ClassVar[str] = "its -log p(x|z) and the KL to N(0, I)"

    module: Any
    columns: Columns

    def rows(self, loader: Any) -> Batches:
        """Return a loader's batches as rows, [B, all columns]."""
        return Batches(loader, lambda tensors: torch.cat([tensors[name].float() for name, *_ in self.columns], 1))

    def encode(self, rows: Tensor) -> Normal:
        return self.posterior(self.inferred(self.tensors(rows)))

    def log_likelihood(self, rows: Tensor, z: Tensor) -> Tensor:
        """Return log p(x|z), [B]; a latent library size is integrated out, less the KL of its posterior."""
        tensors, inferred = self.coded(rows, z)
        if inferred["ql"] is None:
            return self._log_p(tensors, inferred)[0]
        # a lower bound on ln p(x|z) with a latent library size l: E_q(l|x)[ln p(x|z,l)] - KL(q(l|x) || p(l))
        total, q = torch.zeros_like(z[:, 0]), inferred["ql"]
        for node, weight in _NODES:
            inferred["library"] = q.loc + float(node) * q.scale
            log_p, p_l = self._log_p(tensors, inferred)
            total = total + float(weight / np.sqrt(2.0 * np.pi)) * log_p
        return total - kl_divergence(q, p_l).sum(1)

    def require_the_loss(self, rows: Tensor) -> None:
        """Raise unless the module's own loss of each of these cells, in nats, is the sum of its known parts."""
        with torch.no_grad(), torch.random.fork_rng():
            tensors = self.tensors(rows)
            losses = self._losses(rows, tensors, self.inferred(tensors))
        if losses is not None and not torch.allclose(*losses, rtol=1e-3, atol=1e-2):
            theirs, ours = (float(one.mean()) for one in losses)
            raise InputError(
                f"the own loss of {type(self.module).__name__} is {theirs:.2f} nats a cell where {self.parts} make "
                f"{ours:.2f}: it holds something else, and the report would leave that out; "
                "use lambda_vae.diagnose(encode, log_likelihood, data) with both"
            )

    def _losses(
        self, rows: Tensor, tensors: dict[str, Tensor], inferred: dict[str, Any]
    ) -> tuple[Tensor, Tensor] | None:
        """The module's own loss of each cell and the sum of its parts; None where the loss is an estimate by a draw."""
        if inferred.get("ql") is not None:
            return None
        q = self.posterior(inferred)
        inferred["z"] = self._transformed(q.mean)
        theirs = self._own_loss(tensors, inferred)
        kl = kl_divergence(q, Normal(torch.zeros_like(q.mean), 1.0)).sum(1)
        return theirs, kl - self.log_likelihood(rows, q.mean)

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the caller's options for `diagnose` with defaults of this kind of cells."""
        return given

    def notes(self, rows: Any) -> tuple[str, ...]:
        """Return the notes of a report."""
        return ()

    def _own_loss(self, tensors: dict[str, Tensor], inferred: dict[str, Any]) -> Tensor:
        lost = self.module.loss(tensors, inferred, self._generated(tensors, inferred))
        return _per_cell(lost.reconstruction_loss) + _per_cell(lost.kl_local)

    def tensors(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the module's own tensors of these rows."""
        parts = torch.split(rows.detach(), [width for _, width, _ in self.columns], 1)
        return {name: part.to(dtype) for (name, _, dtype), part in zip(self.columns, parts, strict=True)}

    def inferred(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        return self.module.inference(**self.module._get_inference_input(tensors))

    def coded(self, rows: Tensor, z: Tensor) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the tensors of these rows and the module's inference of them with another z."""
        tensors = self.tensors(rows)
        with torch.no_grad():
            inferred = self.inferred(tensors)
        inferred["z"] = self._transformed(z)
        return tensors, inferred

    def posterior(self, inferred: dict[str, Any]) -> Normal:
        """Return q(z|x) of an inference."""
        return inferred["qz"]

    def _transformed(self, z: Tensor) -> Tensor:
        return self.module.z_encoder.z_transformation(z)

    def _generated(self, tensors: dict[str, Tensor], inferred: dict[str, Any]) -> dict[str, Any]:
        return self.module.generative(**self.module._get_generative_input(tensors, inferred))

    def _log_p(self, tensors: dict[str, Tensor], inferred: dict[str, Any]) -> tuple[Tensor, Any]:
        made = self._generated(tensors, inferred)
        return made["px"].log_prob(tensors[REGISTRY_KEYS.X_KEY]).sum(-1), made["pl"]


class Peaks(Cells):
    """PEAKVI: a region is open with probability p(z) * d(x) * f, of the decoder, the cell and the region."""

    def log_likelihood(self, rows: Tensor, z: Tensor) -> Tensor:
        tensors, inferred = self.coded(rows, z)
        factors = self.module.region_factors
        region = 1.0 if factors is None else torch.sigmoid(factors)
        p = self._generated(tensors, inferred)["px"] * inferred["d"] * region
        is_open = (tensors[REGISTRY_KEYS.X_KEY] > 0).to(p.dtype)
        return -F.binary_cross_entropy(p, is_open, reduction="none").sum(1)


class Disentangled(Cells):
    """DRVI of drvi-py, whose module returns the mean and the variance of q."""

    def log_likelihood(self, rows: Tensor, z: Tensor) -> Tensor:
        tensors, inferred = self.coded(rows, z)
        log_p: Tensor = self._generated(tensors, inferred)["px"].log_prob(tensors[REGISTRY_KEYS.X_KEY])
        return log_p.sum(-1)

    def posterior(self, inferred: dict[str, Any]) -> Normal:
        return Normal(*_moments(inferred))

    def _own_loss(self, tensors: dict[str, Tensor], inferred: dict[str, Any]) -> Tensor:
        # Its `loss` would add to the metrics of the training, so its two parts are computed separately.
        mean, std = _moments(inferred)
        px = self._generated(tensors, inferred)["px"]
        lost = self.module._get_reconstruction_loss(px, tensors[REGISTRY_KEYS.X_KEY], None, None)
        return lost["reconstruction_loss"] + self.module._get_kl_divergence_z(mean, std.square())

    def _transformed(self, z: Tensor) -> Tensor:
        change = getattr(self.module.z_encoder, "z_transformation", None)
        return z if change is None else change(z)


def _moments(inferred: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Mean and std; the variance's name depends on the version of scvi-tools."""
    mean, variance = ("qz_m", "qz_v") if "qz_m" in inferred else ("qzm", "qzv")
    return inferred[mean], inferred[variance].sqrt()


def _per_cell(parts: Tensor | dict[str, Tensor]) -> Tensor:
    return torch.stack(list(parts.values())).sum(0) if isinstance(parts, dict) else parts
