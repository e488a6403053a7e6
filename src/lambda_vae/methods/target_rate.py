"""Target rate: the KL is driven to a number of nats."""

from dataclasses import dataclass

from lambda_vae import objectives, training
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["TargetRate"]


@dataclass(frozen=True)
class TargetRate(Method):
    """The distance of the KL from a target is charged in place of the KL; the target grows from 0.

    Args:
        rate: Nats that the KL is driven to in the end.
        gamma: Weight of the distance from the target.
        epochs: Length of the target's line from 0; half of all epochs if not given.
    """

    name, title, short = "target-rate", "target-rate VAE", "target rate"
    paper = "Burgess et al. 2018, arXiv:1804.03599"
    neutral = {"rate": 0.0, "gamma": 1.0}
    rate: float = setting(25.0, "{} nats", record="target_rate")
    gamma: float = setting(1000.0, "γ={}", record="target_gamma")
    epochs: float | None = setting(None, record="target_epochs")

    def objective(self, context: Context) -> "objectives.Objective":
        return objectives.TargetRate(self.rate, self.gamma)

    def schedule(self, context: Context) -> "training.Schedule":
        """Return the part of the target that is reached by now; the objective takes the KL weight for it."""
        return training.LinearWarmUp(context.epochs / 2 if self.epochs is None else self.epochs)
