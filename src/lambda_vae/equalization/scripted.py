"""An equalizer in TorchScript, which has neither epochs nor warnings: it samples in eval mode."""

import torch
from torch import Tensor, nn

__all__ = ["ScriptedSampling"]


class ScriptedSampling(nn.Module):
    """mu + sigma^lambda * eps with the exponents at the time of scripting.

    Args:
        exponent: lambda, [D].
        dim: The latent axis.
    """

    exponent: Tensor

    def __init__(self, exponent: Tensor, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("exponent", exponent)

    def forward(self, mu: Tensor, std: Tensor, eps: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Return z ~ N(mu, sigma^(2 lambda))."""
        assert not self.training, "a scripted equalizer observes nothing; train the model that was scripted"
        noise = torch.randn_like(std) if eps is None else eps
        wide = std.to(torch.promote_types(std.dtype, torch.float32))
        trailing = (std.dim() if self.dim >= 0 else 0) - self.dim - 1
        exponent = self.exponent.view([-1] + [1] * trailing)
        narrowed = torch.where((std >= 1) | (exponent == 1), wide, wide.clamp(max=1.0) ** exponent)
        return (mu + narrowed * noise).to(mu.dtype)
