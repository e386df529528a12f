"""The networks of LaVIT's encoder behind the tower: what chooses patches, and what merges those that are not chosen into those that are.

    features ── selector ──> keep or drop
    features ── [each sees those kept before it ── then those dropped, normalised ── perceptron] x depth ── norm ──> merged

Sources: Jin et al., "Unified language-vision pretraining in LLM with dynamic discrete visual tokenization", ICLR 2024
(jy0205/LaVIT); Rao et al., "DynamicViT: efficient vision transformers with dynamic token sparsification", NeurIPS 2021 (the selector and
its softmax).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.mix import ThinLinear
from tokodec.nn.transformer import Perceptron, Trunk

Sequence = Float[Tensor, "b n c"]
Keep = Float[Tensor, "b n"]
_ALMOST_NOTHING = 1e-6


class Selector(nn.Module):
    """Log-probabilities of keeping and of dropping each place, seen beside the mean of all."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.LayerNorm(width), ThinLinear(width, width), nn.GELU())
        half, quarter = width // 2, width // 4
        self.leave = nn.Sequential(ThinLinear(width, half), nn.GELU(), ThinLinear(half, quarter), nn.GELU(), ThinLinear(quarter, 2))

    def forward(self, x: Sequence) -> Float[Tensor, "b n 2"]:
        here, all_of_them = self.enter(x).chunk(2, dim=-1)
        common = all_of_them.mean(1, keepdim=True).expand_as(all_of_them)
        return F.log_softmax(self.leave(torch.cat([here, common], -1)), -1)


def seen(
    q: Float[Tensor, "b g n c"], k: Float[Tensor, "b g m c"], v: Float[Tensor, "b g m c"], mask: Float[Tensor, "b i m"]
) -> Float[Tensor, "b n gc"]:
    """Attention to keys by as much as ``mask`` says, of each query or of all; a query that sees nothing has the mean, as theirs."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    share = (scores - scores.detach().amax(-1, keepdim=True)).float().exp() * mask[:, None]
    share = (share + _ALMOST_NOTHING / k.shape[2]) / (share.sum(-1, keepdim=True) + _ALMOST_NOTHING)
    return (share.to(v.dtype) @ v).transpose(1, 2).flatten(2)


class MaskedAttention(nn.Module):
    """Every place sees what the mask lets it see."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = ThinLinear(width, 3 * width)
        self.out = ThinLinear(width, width)

    def forward(self, x: Sequence, mask: Float[Tensor, "b n n"]) -> Sequence:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        return self.out(seen(q, k, v, mask))


class CrossAttention(nn.Module):
    """Every place sees those places of something else that ``mask`` has."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (ThinLinear(width, width) for _ in range(4))

    def forward(self, x: Sequence, other: Float[Tensor, "b m c"], mask: Float[Tensor, "b m"]) -> Sequence:
        q, k, v = (
            project(places).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project, places in ((self.query, x), (self.key, other), (self.value, other))
        )
        return self.out(seen(q, k, v, mask[:, None]))


class MergerBlock(nn.Module):
    """What was kept before, then what was dropped, then the perceptron."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.norm0 = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.causal = MaskedAttention(trunk.width, trunk.heads)
        self.norm1 = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.cross = CrossAttention(trunk.width, trunk.heads)
        self.norm2 = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.perceptron = Perceptron(trunk.width, trunk.hidden)

    def forward(self, x: Sequence, before: Float[Tensor, "b n n"], source: Sequence, dropped: Keep) -> Sequence:
        x = x + self.causal(self.norm0(x), before)
        x = x + self.cross(self.norm1(x), source, dropped)
        return x + self.perceptron(self.norm2(x))


class Merger(nn.Module):
    """Features and which to keep (1, else 0) to features of all places; those of places that are dropped mean nothing."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.blocks = nn.ModuleList(MergerBlock(trunk) for _ in range(trunk.depth))
        self.norm = nn.LayerNorm(trunk.width, eps=trunk.eps)

    def forward(self, x: Sequence, keep: Keep) -> Sequence:
        n = x.shape[1]
        earlier = torch.ones(n, n, device=x.device).tril(-1)
        before = keep[:, None] * earlier + torch.eye(n, device=x.device)
        source = self.norm_in(x)
        for block in self.blocks:
            x = block(x, before, source, 1 - keep)
        return self.norm(x)
