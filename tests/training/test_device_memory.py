import pytest
import torch
from small import at_step, trainer

from lambda_vae.errors import InputError


def failing(error):
    def act():
        raise error

    return at_step(7, act)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_an_exhausted_memory_says_what_to_try(error):
    with pytest.raises(InputError) as caught:
        trainer(view=failing(error)).fit()
    said = str(caught.value)
    assert said.startswith("the memory of cpu does not suffice for 8 examples at a time; try `accumulate=2` ")
    assert "`recompute=True`" in said
    assert said.endswith("or `batch_size=4`")


def test_what_was_tried_already_is_not_advised_again():
    with pytest.raises(InputError, match=r"for 1 examples at a time; try `batch_size=4`$"):
        trainer(view=failing(MemoryError()), accumulate=8, recompute=True).fit()


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="mat1 and mat2") as caught:
        trainer(view=failing(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))).fit()
    assert not isinstance(caught.value, InputError)
