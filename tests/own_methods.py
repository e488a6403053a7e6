"""Methods as a user of the package writes them, in a module of their own."""

from dataclasses import dataclass

from torch import Tensor

from lambda_vae.equalization import Sampling
from lambda_vae.methods import Context, LambdaVAE, Method, NoiseClamp, setting
from lambda_vae.model import Trace
from lambda_vae.objectives import Objective, Terms


@dataclass(frozen=True)
class CappedKL:
    cap: float

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        reconstruction = -trace.p_x.log_prob(trace.x)
        kl = trace.q.kl_per_dim(trace.p_z)
        return Terms(reconstruction + kl_weight * kl.clamp(max=self.cap).sum(-1), reconstruction, kl.sum(-1))


@dataclass(frozen=True)
class Capped(Method):
    name, title, paper = "capped", "VAE + capped KL", "nobody's"
    cap: float = setting(0.5, "cap {}")

    def objective(self, context: Context) -> Objective:
        return CappedKL(self.cap)


@dataclass(frozen=True)
class Clamped(LambdaVAE):
    """λ-VAE with other noise, to be tuned."""

    name, title, paper = "clamped", "λ-VAE, clamped", "nobody's"

    def sampling(self, context: Context) -> Sampling | None:
        return NoiseClamp(self.delta).sampling(context)


@dataclass(frozen=True)
class Demanding(Method):
    name, title, paper = "demanding", "wants a value", "nobody's"
    cap: float


@dataclass(frozen=True)
class Namesake(Capped):
    name, title = "namesake", "VAE"

    cap: float = setting(0.5)


@dataclass(frozen=True)
class Nameless(Method):
    """Has none of what tables need."""


class Nothing:
    """No method."""
