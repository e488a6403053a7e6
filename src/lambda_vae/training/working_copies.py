"""Weights in bfloat16 for the passes, in float32 for everything else."""

import torch
from torch import Tensor, nn

__all__ = ["WorkingCopies"]

#: The layers that do nothing with their weights but what autocast does in bfloat16. Subclasses may do more.
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class WorkingCopies:
    """Puts bfloat16 copies of their float32 weights into networks for the time of a pass.

    Autocast rounds every weight at every pass, widens every gradient, and allocates anew for both; kept copies take one
    operation for each and no new memory. Within autocast the results are those of autocast alone, bit for bit: it
    leaves what is bfloat16 already. Outside the `with` block the networks hold their own weights, so what is saved,
    measured or optimised never meets a copy. A pass writes to the copies, so the backward of the pass before must be
    over by then; torch raises if it is not.

    Args:
        networks: Their plain linear and convolution layers get copies; all other weights are left to autocast. Not for
            a module that turns autocast off inside: its layers would meet float32.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> copies = WorkingCopies(model)
        >>> with torch.autocast("cpu", torch.bfloat16), copies:
        ...     y = model(torch.ones(3, 2))
        >>> y.float().sum().backward()
        >>> copies.collect()
        >>> model.weight.dtype, model.weight.grad
        (torch.float32, tensor([[3., 3.]]))
    """

    def __init__(self, *networks: nn.Module) -> None:
        layers = [layer for network in networks for layer in network.modules() if type(layer) in _LAYERS]
        copy_of: dict[Tensor, nn.Parameter] = {}
        for weight in (weight for layer in layers for weight in layer.parameters(recurse=False)):
            if weight.dtype == torch.float32 and weight not in copy_of:
                copy_of[weight] = nn.Parameter(weight.detach().bfloat16(), requires_grad=weight.requires_grad)
        self._weights: list[Tensor] = list(copy_of)
        self._copies: list[Tensor] = list(copy_of.values())
        self._buffers = [torch.empty_like(weight) for weight in self._weights]
        self._places = [
            (layer._parameters, name, weight, copy_of[weight])
            for layer in layers
            for name, weight in layer.named_parameters(recurse=False, remove_duplicate=False)
            if weight in copy_of
        ]

    @torch.no_grad()
    def __enter__(self) -> "WorkingCopies":
        """Round the weights as they are now, and put the copies into the layers."""
        if self._weights:
            torch._foreach_copy_(self._copies, self._weights)
        for parameters, name, weight, lent in self._places:
            lent.requires_grad_(weight.requires_grad)
            parameters[name] = lent
        return self

    def __exit__(self, *error: object) -> None:
        """Put the weights back."""
        for parameters, name, weight, _ in self._places:
            parameters[name] = weight

    def collect(self) -> None:
        """After backward: move the gradients from the copies to the weights, as float32, added to what is there."""
        buffers: list[Tensor] = []
        gradients: list[Tensor] = []
        for weight, copy, buffer in zip(self._weights, self._copies, self._buffers, strict=True):
            gradient, copy.grad = copy.grad, None
            if gradient is None:
                continue
            if weight.grad is None:
                weight.grad = buffer
                buffers.append(buffer)
                gradients.append(gradient)
            else:
                weight.grad += gradient
        if buffers:
            torch._foreach_copy_(buffers, gradients)
