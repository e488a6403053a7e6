"""Floating-point operations of products and convolutions, those inside of torch's recurrent and attention kernels too.

`FlopCounterMode` knows neither oneDNN's and cuDNN's recurrent layers nor the attention of CPUs, and counts 0 for them.
"""

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

__all__ = ["flop_counter"]

_Shape = Sequence[int]


def _recurrent(times: int, given: _Shape, *weights: _Shape) -> int:
    """Every step multiplies by each matrix once: 2 operations a weight."""
    return 2 * times * prod(given[:-1]) * sum(prod(shape) for shape in weights if len(shape) == 2)


def _onednn(times: int) -> Callable[..., int]:
    def count(given: _Shape, into: _Shape, across: _Shape, *_rest: object, **_named: object) -> int:
        return _recurrent(times, given, into, across)

    return count


def _cudnn(times: int) -> Callable[..., int]:
    def count(given: _Shape, weights: Sequence[_Shape], *_rest: object, **_named: object) -> int:
        return _recurrent(times, given, *weights)

    return count


def _attention(query: _Shape, key: _Shape, value: _Shape, *_rest: object, **_named: object) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _attention_backward(
    gradient: _Shape, query: _Shape, key: _Shape, value: _Shape, *_rest: object, **_named: object
) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))  # type: ignore[no-untyped-call]


def flop_counter() -> FlopCounterMode:
    """Return a context that counts operations.

    Example:
        >>> layer = torch.nn.LSTM(3, 5)
        >>> with flop_counter() as counter:
        ...     _ = layer(torch.zeros(7, 2, 3))
        >>> counter.get_total_flops() == 2 * 7 * 2 * 4 * 5 * (3 + 5)
        True
    """
    aten = torch.ops.aten
    known = {
        aten.mkldnn_rnn_layer: _onednn(1),
        aten.mkldnn_rnn_layer_backward: _onednn(2),
        aten._cudnn_rnn: _cudnn(1),
        aten._cudnn_rnn_backward: _cudnn(2),
        aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    }
    return FlopCounterMode(display=False, custom_mapping=known)
