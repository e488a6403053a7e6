"""SCANVI: its prior of z1 is learned, a mixture over the class y and a second latent z2.

Source:
    scvi-tools 1.4.2, module/_scanvae.py, `SCANVAE.loss`; Xu et al. 2021, "Probabilistic harmonization and annotation of
    single-cell transcriptomics data with deep generative models".
"""

import math
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from scvi.module._utils import broadcast_labels
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from lambda_vae.diagnostics import Thresholds
from lambda_vae.errors import InputError
from lambda_vae.integrations.scvi_cells import Cells

__all__ = ["Labelled"]

#: Draws of z2 for each z1 and class in a call of log p(x|z1), and calls by `diagnose`.
_INNER, _OUTER = 4, 2

#: Draws of z2 for the moments of p(z1).
_MOMENTS = 4096


class Labelled(Cells):
    r"""SCANVI.

    Its loss is -ln p(x|z1) plus, for every cell, labelled or not,

    .. math:: \ln q(z_1|x) - \sum_y q(y|z_1) \ln p(z_1|z_2^y, y)
        + \sum_y q(y|z_1) \mathrm{KL}(q(z_2|z_1, y) \,\|\, p(z_2)) + \mathrm{KL}(q(y|z_1) \,\|\, p(y))

    z1 is measured from the Gaussian with the moments of p(z1), `prior`; the log ratio of the learned prior to it is
    counted with log p(x|z1), so that the bound is that of the model. It is not measured from p(z1|z2, y) at a cell's
    own z2 and y: these are inferred from z1, and the information that distinguishes classes would count as nothing.
    """

    parts = "its -log p(x|z1), its learned prior, KL(z2) and KL(y)"

    @cached_property
    def prior(self) -> Normal:
        """Mean and std of p(z1), over y, z2 and z1, by a fixed set of draws of z2."""
        n, dim, p_y = self.module.n_labels, self.module.n_latent, self._p_y()
        z2 = torch.randn(_MOMENTS, dim, generator=torch.Generator().manual_seed(0)).to(p_y)
        classes, copies = broadcast_labels(z2, n_broadcast=n)
        with torch.no_grad():
            means, variances = (self._by_class(part) for part in self.module.decoder_z1_z2(copies, classes))
        mean = (p_y[:, None] * means.mean(0)).sum(0)
        variance = (p_y[:, None] * (variances + (means - mean).square()).mean(0)).sum(0)
        return Normal(mean, variance.sqrt())

    def log_likelihood(self, rows: Tensor, z: Tensor) -> Tensor:
        """Return log p(x|z1) plus a lower bound, by draws of z2, on the log of the learned prior of z1 over `prior`.

        KL(z2) is taken at the draws, not in closed form: the mean is the same, and importance weights stay valid.
        """
        with torch.no_grad():  # the gradient in z, by which a report measures the decoder, leaves the prior out
            log_p_z, excess = self._from_below(z.repeat(_INNER, 1))
            learned = (log_p_z - excess).view(_INNER, -1).mean(0) - _log_p(self.prior, z)
        return super().log_likelihood(rows, z) + learned

    def _losses(
        self, rows: Tensor, tensors: dict[str, Tensor], inferred: dict[str, Any]
    ) -> tuple[Tensor, Tensor] | None:
        if inferred.get("ql") is not None:
            return None
        q = self.posterior(inferred)
        inferred["z"] = q.mean
        torch.manual_seed(0)  # the same draws of z2 twice
        theirs = self._own_loss(tensors, inferred)
        torch.manual_seed(0)
        log_p_z, excess = self._from_below(q.mean, closed=True)
        return theirs, _log_p(q, q.mean) - log_p_z + excess - super().log_likelihood(rows, q.mean)

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        if "prior" in given:
            raise InputError("SCANVI's prior is its own, learned one, and is read from the model; leave prior= out")
        # scvi's KL weight multiplies the KL of z2 and y alone, not the two logarithms of z1.
        own = {"prior": self.prior, "draws": _OUTER, "history": {"kl_weight": [1.0]}} | given
        # Under-dispersion is defined under a Gaussian prior; the learned one may have a smaller sigma.
        return own | {"thresholds": replace(given.get("thresholds") or Thresholds(), sharpness=math.inf)}

    def notes(self, rows: Any) -> tuple[str, ...]:
        with torch.no_grad(), torch.random.fork_rng():
            excess = torch.cat([self._from_below(self.encode(batch).mean, closed=True)[1] for batch in rows])
        return (
            "SCANVI's prior of z (its z1) is learned, a mixture over the class y and a second latent z2: KL, signal "
            "and sigma are measured from the Gaussian with its mean and variance.",
            "What that prior differs from this Gaussian by, at q(z2|z1, y) and q(y|z1), is counted with the "
            f"reconstruction, and so are KL(z2) and KL(y), {float(excess.mean()):.2f} nats a cell: nll_bound is what "
            "scvi calls -get_elbo(). Gradients in z are the decoder's alone, "
            "causes are those of the decoder against that Gaussian, and under-dispersed dimensions are not told.",
            "Known labels are no part of that prior: scvi's ELBO takes q(y|z1) for labelled cells too, and the "
            "classification loss, which moves the codes, is not in it. scvi's KL weight acts on z2 and y alone.",
        )

    def _from_below(self, z: Tensor, *, closed: bool = False) -> tuple[Tensor, Tensor]:
        """Mean over q(y|z1) of log p(z1|z2, y) and of KL(z2) + KL(y), [B] each, at draws of z2 or in closed form."""
        classes, copies = broadcast_labels(z, n_broadcast=self.module.n_labels)
        q_z2, z2 = self.module.encoder_z2_z1(copies, classes)
        mean, variance = self.module.decoder_z1_z2(z2, classes)
        p_z2 = Normal(torch.zeros_like(z2), torch.ones_like(z2))
        kl = kl_divergence(q_z2, p_z2).sum(-1) if closed else _log_p(q_z2, z2) - _log_p(p_z2, z2)
        answer = self.module.classifier(z)
        log_q_y = F.log_softmax(answer, -1)
        if not self.module.classifier.logits:
            log_q_y = answer.clamp(min=torch.finfo(z.dtype).eps).log()
        q_y, log_p_y = log_q_y.exp(), self._p_y().clamp(min=torch.finfo(z.dtype).eps).log()
        log_p_z = self._by_class(_log_p(Normal(mean, variance.sqrt()), copies))
        excess = self._by_class(kl) + log_q_y - log_p_y
        return (q_y * log_p_z).sum(1), (q_y * excess).sum(1)

    def _p_y(self) -> Tensor:
        shares: Tensor = self.module.y_prior.detach().reshape(-1)
        return shares / shares.sum()

    def _by_class(self, part: Tensor) -> Tensor:
        """From [classes * B, ...], as scvi repeats cells, to [B, classes, ...]."""
        return part.view(self.module.n_labels, -1, *part.shape[1:]).transpose(0, 1)


def _log_p(distribution: Any, z: Tensor) -> Tensor:
    return distribution.log_prob(z).sum(-1)
