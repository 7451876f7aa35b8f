"""Matrices of a low rank that are trained in the place of weights (LoRA, arXiv 2106.09685)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


class LowRank:
    """W = W* + B A for every weight of a group, of which only A and B are trained.

    A convolution's weight counts as the matrix (out, in · height · width), so that B A is a convolution with A followed
    by one of 1 × 1 with B. A begins uniform in ±1/√(columns), as a linear layer does, and B at zero.

    Attributes:
        tensors: A as "down/NAME", (rank, columns), and B as "up/NAME", (rows, rank).
    """

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        originals: Mapping[str, torch.Tensor],
        rank: int,
        generator: torch.Generator,
    ) -> None:
        self._weights, self._originals = weights, originals
        self.tensors: dict[str, torch.Tensor] = {}
        for name, weight in weights.items():
            rows, columns = weight.flatten(1).shape
            rank_here, bound = min(rank, rows, columns), columns**-0.5
            down = (2 * torch.rand(rank_here, columns, generator=generator) - 1) * bound
            self.tensors[f"down/{name}"] = down.to(weight.device).requires_grad_(True)
            self.tensors[f"up/{name}"] = torch.zeros(rows, rank_here, device=weight.device, requires_grad=True)

    @torch.no_grad()
    def take_gradients(self) -> None:
        """Turn the gradients by W into those by A and B."""
        for name, weight in self._weights.items():
            down, up = self.tensors[f"down/{name}"], self.tensors[f"up/{name}"]
            if weight.grad is not None:
                gradient = weight.grad.flatten(1)
                down.grad, up.grad = up.T @ gradient, gradient @ down.T
                weight.grad = None

    @torch.no_grad()
    def write(self) -> None:
        """Let every W be W* + B A."""
        for name, weight in self._weights.items():
            change = self.tensors[f"up/{name}"] @ self.tensors[f"down/{name}"]
            weight.copy_(self._originals[name] + change.view_as(weight))
