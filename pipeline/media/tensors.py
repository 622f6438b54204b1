"""Pixels to the tensors that generators take, and back: the only place that knows their value range."""

import torch


def from_pixels(pixels: torch.Tensor) -> torch.Tensor:
    """Convert uint8 NHWC (0-255) to float32 NCHW in [-1, 1], channels_last in memory."""
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_pixels(tensor: torch.Tensor) -> torch.Tensor:
    """Convert float NCHW in [-1, 1] (values beyond are clamped) to uint8 NHWC, rounded."""
    return tensor.detach().float().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1)
