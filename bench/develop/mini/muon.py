"""Muon: steps whose matrices are orthogonal, which learns in fewer steps than Adam."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan 2024: slope and height of the iterated polynomial at 0
ROUNDS, EPS = 5, 1e-7


class Muon(torch.optim.Optimizer):
    """Muon (Jordan 2024) for matrices and kernels, Adam for vectors, both with decoupled weight decay.

    A matrix's step is its momentum made orthogonal, times 0.2·√(longer side), so that its elements are as large as
    Adam's steps and both take one learning rate (arXiv 2502.16982, equation 4). A convolution's kernel is the matrix
    (out, in·height·width). First and last layers and positions are matrices like others here; Jordan leaves them to
    Adam. In float32 throughout: PyTorch's and timm's own compute in bfloat16, which is many times slower on processors
    without it.

    Args:
        parameters: what is trained.
        lr: of matrices and vectors alike.
        weight_decay: times lr is taken off each weight at a step.
        momentum: of matrices, as Nesterov's.
        betas: Adam's, of vectors.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients; a closure is not called."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if (gradient := parameter.grad) is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                direction = self._of_matrix if parameter.ndim > 1 else self._of_vector
                parameter.sub_(direction(gradient, self.state[parameter], group), alpha=group["lr"])

    def _of_matrix(self, gradient: torch.Tensor, state: dict[str, Any], group: dict[str, Any]) -> torch.Tensor:
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(state["momentum"], group["momentum"]).flatten(1)
        return (orthogonal(ahead) * (0.2 * max(ahead.shape) ** 0.5)).view_as(gradient)

    def _of_vector(self, gradient: torch.Tensor, state: dict[str, Any], group: dict[str, Any]) -> torch.Tensor:
        first, second = group["betas"]
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
        state["step"] = int(state["step"]) + 1
        state["mean"].lerp_(gradient, 1 - first)
        state["square"].lerp_(gradient.square(), 1 - second)
        mean = state["mean"] / (1 - first ** state["step"])
        square = state["square"] / (1 - second ** state["step"])
        return mean / (square.sqrt() + 1e-8)


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix with its singular values near 1 (0.7 to 1.2), by Newton and Schulz's iteration.

    Those below a thousandth of its norm stay smaller. Iterated on matrix · matrixᵀ, which is smaller than the matrix:
    every polynomial of it commutes with it.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + EPS)
    square = wide @ wide.T
    slope, b, c = COEFFICIENTS
    unit = torch.eye(len(square), device=square.device)
    factors = unit
    for _ in range(ROUNDS):
        factor = torch.addmm(slope * unit + b * square, square, square, alpha=c)
        factors = factor @ factors
        square = factor @ square @ factor
    wide = factors @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
