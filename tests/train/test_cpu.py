"""What stands in for CUDA code on a CPU gives the right numbers."""

from __future__ import annotations

import torch

from train.cpu import sum_norm


def test_the_gradient_norm_is_right_for_millions_of_numbers() -> None:
    """fp32 sums are wrong by 1e-4 and more here, which no layout would agree on."""
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(7_000_000, generator=generator) * 1e-4
    wanted = float((gradients.double() ** 2).sum().sqrt())
    whole, _ = sum_norm(65_536, torch.zeros(1), [[gradients]])
    parts, _ = sum_norm(65_536, torch.zeros(1), [list(gradients.chunk(4))], False)
    assert whole.dtype == torch.float32
    assert whole.shape == (1,)
    assert abs(float(whole) / wanted - 1) < 1e-6
    assert abs(float(parts) / wanted - 1) < 1e-6
    assert abs(float(gradients.norm()) / wanted - 1) > 1e-5, "torch has mended its norm"
