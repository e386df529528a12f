"""Muon: the momentum of a matrix, its singular values all brought near one, is the step.

Of matrices and of convolutions, whose kernel is a matrix of outputs against everything they read; not of gains, biases or depthwise
kernels. Steps are as large as AdamW's usually are, so both follow the same learning rates.

Sources: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), with its five polynomials; the scale is that of
Liu et al., "Muon is scalable for LLM training" (arXiv 2502.16982). PyTorch's own (torch.optim.Muon) takes matrices only.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.errors import InputError

_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
_RMS = 0.2
"""Root mean square of AdamW's steps, in learning rates, as Liu et al. found it."""


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised. ``found_inf``: where it is 1, a step changes nothing. Raises InputError for what is no matrix."""

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.found_inf: Tensor | None = None
        flat = [tuple(p.shape) for group in self.param_groups for p in group["params"] if not is_matrix(p)]
        if flat:
            raise InputError(f"a parameter of shape {flat[0]} is no matrix, so Muon cannot step it; give it to another optimiser")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along what ``backward`` left."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = {}
            for p in group["params"]:
                by_shape.setdefault(_matrix(p).shape, []).append(p)
            for same in by_shape.values():
                self._step(same, group)

    def _step(self, same: Sequence[nn.Parameter], group: dict[str, float]) -> None:
        """Of matrices of one shape, all at once."""
        gradient = torch.stack([_matrix(p.grad) for p in same if p.grad is not None])
        momentum = torch.stack([_matrix(self._momentum(p)) for p in same])
        held = torch.zeros((), device=gradient.device) if self.found_inf is None else self.found_inf
        new = torch.where(held > 0, momentum, momentum.lerp(gradient, 1 - group["momentum"]))
        ahead = torch.where(held > 0, momentum, gradient.lerp(new, group["momentum"]))
        size = _RMS * max(gradient.shape[1:]) ** 0.5 * group["lr"] * (1 - held)
        for p, m, direction in zip(same, new, orthogonal(ahead), strict=True):
            self._momentum(p).copy_(m.view(p.shape))
            p.mul_(1 - group["lr"] * group["weight_decay"] * (1 - held)).sub_(size * direction.view(p.shape))

    def _momentum(self, p: nn.Parameter) -> Tensor:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p, requires_grad=False)
        return state["momentum"]


def orthogonal(matrices: Float[Tensor, "n rows columns"]) -> Float[Tensor, "n rows columns"]:
    """Each with the same singular vectors and all singular values between about 0.7 and 1.2, by polynomials of it, in bfloat16."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / x.float().flatten(1).norm(dim=1).add(1e-7).bfloat16()[:, None, None]
    a, b, c = _POLYNOMIAL
    for _ in range(_ROUNDS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).float()


def is_matrix(p: Tensor) -> bool:
    """Whether it is one, or a convolution's kernel that is none of single channels."""
    return p.ndim > 1 and min(p.shape[:2]) > 1


def _matrix(p: Tensor) -> Float[Tensor, "rows columns"]:
    return p.flatten(1)
