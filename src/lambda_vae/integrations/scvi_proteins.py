"""TOTALVI: RNA and proteins; the decoder draws the proteins' background, a second latent.

Source:
    scvi-tools 1.4.2 and 1.5.1, module/_totalvae.py and nn/_base_components.py, `DecoderTOTALVI.forward`; Gayoso, Steier
    et al. 2021, "Joint probabilistic modeling of single-cell multi-omic data with totalVI".
"""

from typing import Any

import torch
import torch.nn.functional as F
from scvi import REGISTRY_KEYS
from torch import Tensor
from torch.distributions import LogNormal, Normal, kl_divergence

from lambda_vae.integrations.scvi_cells import Cells

__all__ = ["Proteins"]

#: Calls of log p(x|z), which draws, by `diagnose`.
_DRAWS = 4


class Proteins(Cells):
    r"""TOTALVI.

    Its counts are negative binomial given z, its proteins a mixture of foreground and background given z and the log of
    the background's mean, b, with its own q(b|z) and learned prior. Its loss of a cell is

    .. math:: -\ln p(x, y|z, b) + \mathrm{KL}(q(z|x, y) \,\|\, p(z)) + \mathrm{KL}(q(b|z) \,\|\, p(b)) + r,

    where r, the density of a parameter and a small penalty, is no term of a cell and is left out of the bound.
    """

    parts = "its likelihoods, its KLs and what belongs to no cell"

    def log_likelihood(self, rows: Tensor, z: Tensor) -> Tensor:
        """Return a bound on log p(x, y|z) at one draw of the background and, where it is latent, of the library size.

        Their KLs are taken at the draws, not in closed form: the mean is the same, and importance weights stay valid.
        """
        tensors, inferred = self.coded(rows, z)
        made = self._generated(tensors, inferred)
        q, p, b = self._background(made), inferred["back_mean_prior"], made["log_pro_back_mean"]
        lost = self.module.loss(tensors, inferred, made).reconstruction_loss
        log_p: Tensor = -torch.stack(list(lost.values())).sum(0)
        log_p = log_p + (self._measured(tensors) * _log_ratio(p, q, b)).sum(1)
        if self.module.use_observed_lib_size:
            return log_p
        q_l, p_l, log_l = inferred["ql"], self._library(tensors), inferred["untran_l"]
        return log_p + _log_ratio(p_l, q_l, log_l).sum(1)

    def _losses(self, rows: Tensor, tensors: dict[str, Tensor], inferred: dict[str, Any]) -> tuple[Tensor, Tensor]:
        made = self._generated(tensors, inferred)
        lost = self.module.loss(tensors, inferred, made)
        theirs = sum((*lost.reconstruction_loss.values(), *lost.kl_local.values()), torch.zeros(len(rows)))
        q, q_b = inferred["qz"], self._background(made)
        ours = kl_divergence(q, Normal(torch.zeros_like(q.mean), 1.0)).sum(1) + sum(self._no_cells(made))
        ours = ours + sum(lost.reconstruction_loss.values())
        ours = ours + (self._measured(tensors) * kl_divergence(q_b, inferred["back_mean_prior"])).sum(1)
        if not self.module.use_observed_lib_size:
            ours = ours + kl_divergence(inferred["ql"], self._library(tensors)).sum(1)
        return theirs, ours

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"draws": _DRAWS} | given

    def notes(self, rows: Any) -> tuple[str, ...]:
        parts = []
        with torch.no_grad(), torch.random.fork_rng():
            for batch in rows:
                tensors = self.tensors(batch)
                parts.append(torch.stack(self._no_cells(self._generated(tensors, self.inferred(tensors)))))
        prior, penalty = torch.cat(parts, 1).mean(1).tolist()
        return (
            "The protein background is latent too, given z: it is drawn within log_likelihood, and its KL is counted "
            "with the reconstruction, not with a dimension.",
            f"scvi's -get_elbo() is higher than nll_bound by {prior + penalty:.2f} nats a cell: {prior:.2f} for the "
            f"prior of a parameter of all cells (log_per_batch_efficiency), and {penalty:.2f} for a penalty on "
            "background, neither of which is of p(x).",
            "In training scvi's KL weight also multiplies the proteins' likelihood and the KL of their background: as "
            "long as it is below 1, proteins count for less than genes.",
        )

    def _transformed(self, z: Tensor) -> Tensor:
        return self.module.encoder.z_transformation(z)

    @staticmethod
    def _background(made: dict[str, Any]) -> Normal:
        return Normal(made["py_"]["back_alpha"], made["py_"]["back_beta"])

    @staticmethod
    def _no_cells(made: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The loss's terms for the prior of each protein's efficiency and for background: [B] each, in nats."""
        efficiency, mixing = made["per_batch_efficiency"], made["py_"]["mixing"]
        prior: Any = LogNormal(torch.zeros_like(efficiency), 1.0)
        return -prior.log_prob(efficiency).sum(1), -1e-3 * F.logsigmoid(mixing).sum(1)

    def _measured(self, tensors: dict[str, Tensor]) -> Tensor:
        """1 where a protein was measured in the panel of a cell, [B, proteins]."""
        masks, y = self.module.protein_batch_mask, tensors[REGISTRY_KEYS.PROTEIN_EXP_KEY]
        if masks is None:
            return torch.ones_like(y)
        panels = tensors[self.module.panel_key].flatten().tolist()
        return torch.stack([torch.as_tensor(masks[str(int(panel))]).to(y) for panel in panels])

    def _library(self, tensors: dict[str, Tensor]) -> Normal:
        """Prior of the log of a latent library size."""
        means, variances = self.module.library_log_means, self.module.library_log_vars
        batch = F.one_hot(tensors[REGISTRY_KEYS.BATCH_KEY].squeeze(-1).long(), means.shape[1]).float()
        return Normal(F.linear(batch, means), F.linear(batch, variances).sqrt())


def _log_ratio(p: Any, q: Any, value: Tensor) -> Tensor:
    return p.log_prob(value) - q.log_prob(value)
