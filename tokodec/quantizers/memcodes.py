"""Memory codes: a vector is cut into heads, and each head picks one of its own codes by attention.

Source: Mizrahi et al., "4M: massively multimodal masked modeling", NeurIPS 2023; the quantizer is lucidrains' Memcodes
(vector-quantize-pytorch), after Mama et al., "NWT", 2021.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.quantizers.base import Quantized, Quantizer


class MemoryCodesQuantizer(Quantizer):
    """``heads`` tables of ``size`` codes, with learned keys and values. Ids have a last axis of heads. No terms.

    In training codes are drawn by Gumbel noise of ``temperature``, straight through; in use the best key wins.
    """

    def __init__(self, codes: int, dim: int, heads: int, temperature: float = 1.0) -> None:
        super().__init__()
        if dim % heads:
            raise InputError(f"{dim} coordinates cannot be cut into {heads} heads")
        self.dim, self.heads, self.temperature = dim, heads, temperature
        self.per_head, self.size = codes, codes**heads
        self.codebook = nn.Parameter(torch.randn(heads, codes, dim // heads))
        self.key = nn.Parameter(torch.randn(heads, dim // heads, dim // heads) * (dim // heads) ** -0.5)
        self.value = nn.Parameter(torch.randn(heads, dim // heads, dim // heads) * (dim // heads) ** -0.5)

    @property
    def vocab(self) -> tuple[int, ...]:
        return (self.per_head,) * self.heads

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        with torch.autocast(z.device.type, enabled=False):
            one_hot = F.gumbel_softmax(self._logits(z.float()), tau=self.temperature, hard=True, dim=-1)
            codes = torch.einsum("bhnk,hkd->bnhd", one_hot, self._values()).flatten(2)
        return Quantized(z=codes, ids=one_hot.argmax(-1).transpose(1, 2), vocab=self.vocab)

    def ids(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n k"]:
        return self._logits(z).argmax(-1).transpose(1, 2)

    def lookup(self, ids: Int[Tensor, "b n k"]) -> Float[Tensor, "b n d"]:
        values = self._values()
        return torch.cat([F.embedding(ids[..., h], values[h]) for h in range(self.heads)], -1)

    def _logits(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b h n k"]:
        queries = z.unflatten(-1, (self.heads, -1)).transpose(1, 2) * (self.dim // self.heads) ** -0.5
        keys = torch.einsum("hkd,hde->hke", self.codebook.to(z.dtype), self.key.to(z.dtype))
        return queries @ keys.transpose(1, 2)

    def _values(self) -> Float[Tensor, "h k d"]:
        return torch.einsum("hkd,hde->hke", self.codebook, self.value)
