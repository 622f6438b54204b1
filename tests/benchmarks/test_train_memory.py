"""The tally of memory, by sums that can be done by hand."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.train_memory import Tally


def test_storages_are_counted_while_they_live() -> None:
    with FakeTensorMode(), Tally() as tally:
        x = torch.empty(1000, requires_grad=True)
        assert (tally.now, tally.peak) == (4000, 4000)
        y = x.exp()  # kept by autograd, too
        half = y[:500].bfloat16()
        assert tally.now == 4000 + 4000 + 1000, "a view takes nothing"
        total = half.float().sum()
        del y, half
        assert tally.now == 8000 + 4 and tally.peak == 9000 + 2000 + 4
        torch.autograd.backward(total)
        assert x.grad is not None
        del total
        assert tally.now == 8000, "the leaf and its gradient"
