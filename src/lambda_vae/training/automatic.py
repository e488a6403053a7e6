"""Precision "auto": bfloat16 for as long as it does not move the bound."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lambda_vae.objectives import ELBO
from lambda_vae.training.draws import Draws
from lambda_vae.training.stepper import Stepper

__all__ = ["AutomaticPrecision"]

#: How much of itself the reconstruction or the rate may move.
_SHARE = 1e-3

#: And how much in nats where they are small.
_NATS = 0.01

_BATCHES = 5


class AutomaticPrecision:
    """After each epoch measures the bound in both precisions, on the same examples and noise; one miss ends bfloat16.

    What is compared is -log p(x|z) and the rate, each by itself, so that they cannot make up for each other.

    Args:
        stepper: Whose precision it sets.
        draws: For the examples and the noise, the same every time.
    """

    def __init__(self, stepper: Stepper, draws: Draws) -> None:
        self.stepper, self.draws = stepper, draws

    def end_epoch(self) -> dict[str, float]:
        """Return `bound_change` in nats: the bound in the precision of the epoch less that in float32."""
        if self.stepper.precision == "float32":
            return {"bound_change": 0.0}
        reduced, exact = self._terms()
        change = reduced - exact
        if bool((change.abs() > (exact.abs() * _SHARE).clamp(min=_NATS)).any()):
            self.stepper.use("float32")
        return {"bound_change": -float(change.sum())}

    @torch.no_grad()
    def _terms(self) -> Tensor:
        """The mean terms in the precision of the run and in float32, [2, 2]."""
        stepper, size = self.stepper, self.draws.options.batch_size
        examples, generator = self.draws.fixed(_BATCHES * size)
        sums = torch.zeros(2, 2, dtype=torch.float64, device=stepper.device)
        for x in examples.chunk(_BATCHES):
            eps = torch.randn(1, len(x), stepper.vae.latent_dim, generator=generator, device=stepper.device)
            for row, autocast in enumerate((stepper.autocast, torch.autocast(stepper.device.type, enabled=False))):
                with autocast:
                    terms = ELBO()(stepper.vae(x, eps))
                sums[row] += torch.stack((terms.reconstruction.mean(), terms.rate_q.mean())) * len(x)
        return sums / len(examples)

    def state_dict(self) -> Mapping[str, Tensor]:
        """Return whether the run is still in bfloat16."""
        return {"reduced": torch.tensor(self.stepper.precision == "bfloat16")}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on in float32 where the run was; a device without bfloat16 stays without."""
        if not bool(state["reduced"]):
            self.stepper.use("float32")
