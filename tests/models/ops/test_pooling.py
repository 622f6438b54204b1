"""max_pool2x2 against torch's own."""

import pytest
import torch
from torch.nn import functional as F

from models.ops.pooling import max_pool2x2


@pytest.mark.parametrize("shape", [(2, 3, 8, 6), (1, 1, 2, 2), (1, 4, 7, 9)])
def test_same_as_torch(shape: tuple[int, ...]) -> None:
    x = torch.rand(*shape, generator=torch.Generator().manual_seed(0))
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    one, other = max_pool2x2(ours), F.max_pool2d(theirs, 2)
    assert torch.equal(one, other)
    slope = torch.rand(one.shape, generator=torch.Generator().manual_seed(1))
    one.backward(slope)  # type: ignore[no-untyped-call]
    other.backward(slope)  # type: ignore[no-untyped-call]
    assert torch.equal(ours.grad, theirs.grad)  # type: ignore[arg-type]


def test_behind_a_relu_ties_of_zeros_pass_nothing() -> None:
    x = torch.full((1, 1, 2, 2), -1.0, requires_grad=True)
    max_pool2x2(torch.relu(x)).sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(x.grad, torch.zeros(1, 1, 2, 2))  # type: ignore[arg-type]


def test_other_dtypes_and_layouts_go_torchs_way() -> None:
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    assert torch.equal(max_pool2x2(x), F.max_pool2d(x, 2))
    y = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert torch.equal(max_pool2x2(y), F.max_pool2d(y, 2))
