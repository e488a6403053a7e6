"""What noise a loss assumes that is a mean or a bare squared error."""

import math

from lambda_vae.errors import InputError

__all__ = ["std_of_kl_weight"]


def std_of_kl_weight(
    kl_weight: float, features: int | None = None, reduction: str = "mean", *, half: bool = False
) -> float:
    r"""Return the std for which squared error + kl_weight * KL is an ELBO, up to a factor and a constant.

    :math:`-\ln p(x|z)` of a Gaussian is the squared error over :math:`2 s^2`; times :math:`2 s^2`, the KL stands there
    with the weight :math:`2 s^2`. A mean over F features with a KL of weight 1 assumes a noise variance of F/2.

    Args:
        kl_weight: Of the KL in nats, summed over the latent dimensions, one example's share.
        features: F, the numbers of an example that the squared error is averaged over; a sum needs none.
        reduction: "mean" over the features, as `mse_loss` does by default, or "sum".
        half: The loss is half the squared error.

    Returns:
        s, in the units of x; `gaussian(decode, std=s)` takes it.

    Raises:
        InputError: One of them is not greater than 0, or a mean comes without its features.

    Example:
        >>> [round(std_of_kl_weight(1.0, 784) ** 2), round(std_of_kl_weight(1.0, reduction="sum") ** 2, 3)]
        [392, 0.5]
        >>> std_of_kl_weight(1.0, reduction="sum", half=True)
        1.0
    """
    if reduction not in ("mean", "sum"):
        raise InputError(f"reduction is {reduction!r}; it is 'mean' or 'sum'")
    if reduction == "mean" and features is None:
        raise InputError("a mean wants features=, the numbers of an example that it is over: x[0].numel()")
    count = features if reduction == "mean" and features is not None else 1
    for name, value in (("kl_weight", kl_weight), ("features", count)):
        if not (value > 0 and math.isfinite(value)):
            raise InputError(f"{name} is {value}; it must be greater than 0")
    return math.sqrt(kl_weight * count / (1.0 if half else 2.0))
