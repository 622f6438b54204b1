"""A generator as a function of bytes, for export: what other programs have and want, so that none of them scales pixels."""

import torch
from torch import Tensor, nn


class Portable(nn.Module):
    """A generator that takes and gives uint8 RGB, at any size; it can be traced by torch.export."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, photo: Tensor) -> Tensor:
        """uint8 RGB N x H x W x 3 to the same shape: scaled to [-1, 1], redrawn, and back."""
        picture: Tensor = self.network(photo.permute(0, 3, 1, 2).float() / 127.5 - 1.0)
        return ((picture + 1.0) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
