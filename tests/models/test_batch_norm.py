"""Running statistics of batch norm are updated once a step, whatever is run twice or in parts."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from models import batch_norm
from models.generators.residual import Generator
from models.generators.table import CARTOONGAN

SMALL = replace(CARTOONGAN, width=4, blocks=2)


def a_generator() -> Generator:
    torch.manual_seed(1)
    return Generator(SMALL)


def statistics(network: nn.Module) -> dict[str, torch.Tensor]:
    found = {name: value for name, value in network.state_dict().items() if "running" in name or "tracked" in name}
    assert len(found) == 3 * 9  # stem, two halvings, two norms of each of two blocks, two doublings
    return found


def test_frozen_statistics_do_not_move_and_the_batch_is_still_normalized() -> None:
    network, mirror = a_generator(), a_generator()
    photo = torch.rand(2, 3, 16, 16)
    before = {name: value.clone() for name, value in statistics(network).items()}
    with batch_norm.frozen_statistics(network):
        output = network(photo)
        with pytest.raises(KeyError), batch_norm.frozen_statistics(network):  # within itself, and left by an error
            raise KeyError
    assert torch.equal(output, mirror(photo))
    assert all(torch.equal(before[name], value) for name, value in statistics(network).items())
    network(photo)
    assert all(torch.equal(value, statistics(network)[name]) for name, value in statistics(mirror).items())


def test_checkpointing_updates_statistics_once() -> None:
    found = []
    for save_memory in (False, True):
        network = a_generator()
        network.save_memory = save_memory
        network(torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))).square().mean().backward()
        found.append((statistics(network), [parameter.grad for parameter in network.parameters()]))
    (plain, gradients), (saved, others) = found
    assert all(torch.equal(plain[name], saved[name]) for name in plain)
    for mine, theirs in zip(gradients, others, strict=True):
        assert mine is not None and theirs is not None and torch.equal(mine, theirs)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_parts_update_statistics_as_the_whole_batch_does(count: int) -> None:
    whole, parted = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    for step in range(3):
        batch = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(step)) * 2 + 1
        before = parted.running_var
        assert before is not None
        before = before.clone()
        whole(batch)
        for part in batch_norm.accumulated_statistics(parted, batch.chunk(count)):
            parted(part)
        assert whole.running_mean is not None and parted.running_mean is not None and parted.running_var is not None
        assert parted.running_mean.tolist() == pytest.approx(whole.running_mean.tolist(), rel=1e-5)
        variances = torch.stack([part.transpose(0, 1).flatten(1).var(1) for part in batch.chunk(count)])
        assert parted.running_var.tolist() == pytest.approx((0.9 * before + 0.1 * variances.mean(0)).tolist(), rel=1e-5)
    assert parted.num_batches_tracked == whole.num_batches_tracked == 3
