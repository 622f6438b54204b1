"""Stores for feature maps: in memory up to the limit, in files beyond."""

from __future__ import annotations

import gc

import pytest
import torch

from pipeline.inference.offload import FileStore, MemoryStore, Offloader

SIZE = 3 * 20 * 7 * 4


@pytest.mark.parametrize("limit", [0, 10**6])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_rows_come_back_in_any_order(limit: int, layout: torch.memory_format) -> None:
    store = Offloader(limit)(3, 20, 7)
    assert isinstance(store, MemoryStore if limit else FileStore)
    maps = torch.randn(1, 3, 20, 7).contiguous(memory_format=layout)
    for top in (0, 5, 15):
        store.write(top, maps[:, :, top : top + (10 if top == 5 else 5)])
    for top, bottom in ((0, 20), (19, 20), (3, 11)):
        assert torch.equal(store.read(top, bottom), maps[:, :, top:bottom])
    store.write(2, -maps[:, :, 2:4])
    assert torch.equal(store.read(2, 4), -maps[:, :, 2:4])


def test_memory_of_a_deleted_store_is_free_again() -> None:
    offloader = Offloader(2 * SIZE + 1)
    first, second = offloader(3, 20, 7), offloader(3, 20, 7)
    assert isinstance(first, MemoryStore) and isinstance(second, MemoryStore) and isinstance(offloader(3, 20, 7), FileStore)
    assert offloader.file_bytes == SIZE
    del first
    gc.collect()
    assert isinstance(offloader(3, 20, 7), MemoryStore)
