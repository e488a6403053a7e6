"""Ratings of people of two tastes."""

import torch


def triples(users=100, items=40):
    """(user, item, rating): most of what is liked lies in one half of the items.

    Args:
        users: How many.
        items: How many; each is liked by somebody.
    """
    generator = torch.Generator().manual_seed(0)
    taste = torch.rand(users, 1, generator=generator) < 0.5
    first = torch.arange(items) < items // 2
    liked = torch.rand(users, items, generator=generator) < torch.where(taste == first, 0.5, 0.08)
    return [(f"u{u}", f"i{i}", float(1 + (u + i) % 5)) for u, i in liked.nonzero().tolist()]
