import multiprocessing
from multiprocessing.context import ForkServerContext

import pytest


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Processes of their own that need not import torch anew each time: a server without threads does it once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lambda_vae.training", "torch.distributed", "torch._dynamo"])
    return context
