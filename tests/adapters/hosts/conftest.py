"""What the files about one host share."""

import logging

import pytest
import torch
from sklearn.datasets import load_digits


@pytest.fixture
def quiet():
    """No word from hosts that log every epoch."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def digits():
    """Black and white digits as images, float [1797, 1, 8, 8]."""
    return (torch.tensor(load_digits().data) > 7).float().view(-1, 1, 8, 8)
