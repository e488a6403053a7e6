"""The same VAE in JAX: one compiled `lax.scan` an epoch, data on the device, stochastic binarisation, Adam."""

from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp

from contenders import FEATURES, HIDDEN, LATENT_DIM, Images, Pause

__all__ = ["run"]

Array = jax.Array
Layers = list[tuple[Array, Array]]
_RATE, _BETA1, _BETA2, _TINY = 1e-3, 0.9, 0.999, 1e-8


def _init(key: Array, *widths: int) -> Layers:
    """Linear layers with torch's bounds, +- 1/sqrt(width)."""
    layers = []
    for n, m in pairwise(widths):
        key, weights, bias = jax.random.split(key, 3)
        bound = n**-0.5
        layers.append(
            (
                jax.random.uniform(weights, (n, m), minval=-bound, maxval=bound),
                jax.random.uniform(bias, (m,), minval=-bound, maxval=bound),
            )
        )
    return layers


def _apply(layers: Layers, x: Array) -> Array:
    for weights, bias in layers[:-1]:
        x = jax.nn.relu(x @ weights + bias)
    weights, bias = layers[-1]
    return x @ weights + bias


def _loss(parameters: tuple[Layers, Layers], x: Array, eps: Array) -> Array:
    encoder, decoder = parameters
    mu, logvar = jnp.split(_apply(encoder, x), 2, axis=1)
    logits = _apply(decoder, mu + jnp.exp(0.5 * logvar) * eps)
    reconstruction = jnp.sum(jax.nn.softplus(logits) - x * logits, axis=1)
    kl = -0.5 * jnp.sum(1 + logvar - mu**2 - jnp.exp(logvar), axis=1)
    return jnp.mean(reconstruction + kl)


def _adam(parameters: Any, gradients: Any, state: Any) -> tuple[Any, Any]:
    first, second, t = state
    t = t + 1
    first = jax.tree.map(lambda m, g: _BETA1 * m + (1 - _BETA1) * g, first, gradients)
    second = jax.tree.map(lambda v, g: _BETA2 * v + (1 - _BETA2) * g * g, second, gradients)
    rate = _RATE * jnp.sqrt(1 - _BETA2**t) / (1 - _BETA1**t)
    moved = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + _TINY), parameters, first, second)
    return moved, (first, second, t)


@partial(jax.jit, static_argnames="batch_size", donate_argnames="carry")
def _epoch(carry: Any, data: Array, key: Array, batch_size: int) -> tuple[Any, Array]:
    steps = len(data) // batch_size
    order_key, step_key = jax.random.split(key)
    order = jax.random.permutation(order_key, len(data))[: steps * batch_size].reshape(steps, batch_size)

    def step(carry: Any, one: tuple[Array, Array]) -> tuple[Any, Array]:
        (parameters, state), (rows, key) = carry, one
        pixel_key, eps_key = jax.random.split(key)
        x = jax.random.bernoulli(pixel_key, data[rows].astype(jnp.float32) / 255).astype(jnp.float32)
        eps = jax.random.normal(eps_key, (batch_size, LATENT_DIM))
        loss, gradients = jax.value_and_grad(_loss)(parameters, x, eps)
        return _adam(parameters, gradients, state), loss

    return jax.lax.scan(step, carry, (order, jax.random.split(step_key, steps)))


def run(images: Images, batch_size: int, pause: Pause) -> None:
    """Train; one pause an epoch.

    Args:
        images: uint8 [N, 784].
        batch_size: Examples a step.
        pause: Called between epochs.
    """
    key, encoder_key, decoder_key = jax.random.split(jax.random.key(0), 3)
    encoder = _init(encoder_key, FEATURES, *HIDDEN, 2 * LATENT_DIM)
    decoder = _init(decoder_key, LATENT_DIM, *HIDDEN, FEATURES)
    parameters = (encoder, decoder)
    zeros = partial(jax.tree.map, jnp.zeros_like)
    carry = (parameters, (zeros(parameters), zeros(parameters), jnp.zeros((), jnp.float32)))
    data = jnp.asarray(images)
    while True:
        pause()
        key, epoch_key = jax.random.split(key)
        carry, losses = _epoch(carry, data, epoch_key, batch_size=batch_size)
        float(losses.mean())  # waits for the epoch to end
