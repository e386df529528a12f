"""Quantizers whose code is a row of signs or bits: lookup-free, on the unit sphere, and binary latents.

Nothing is searched and nothing can collapse. They differ in what the decoder sees and in which bit of an id comes first.

Sources: Yu et al., "Language model beats diffusion: tokenizer is key to visual generation", ICLR 2024 (LFQ), and Luo et al.,
"Open-MAGVIT2", 2024; Zhao et al., "Image and video tokenization with binary spherical quantization", ICLR 2025 (BSQ); Wang et al.,
"Binary latent diffusion", CVPR 2023, and ELM, 2024 (binary autoencoder).
"""

from abc import abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.quantizers.base import Choice, Quantized, SureQuantizer, distance, straight_through
from tokodec.quantizers.bits import bits_of, number_of
from tokodec.quantizers.entropy import BitEntropy, GroupEntropy


class BitQuantizer(SureQuantizer):
    """``dim`` bits a vector, in ``groups`` equal runs with an id each; inside a run the first bit is the highest."""

    def __init__(self, dim: int, groups: int = 1) -> None:
        super().__init__()
        if dim % groups or dim // groups > 63:
            raise InputError(f"{dim} bits in {groups} groups: groups must be equal and have at most 63 bits")
        self.dim, self.groups, self.size = dim, groups, 2**dim

    @property
    def vocab(self) -> tuple[int, ...]:
        return (2 ** (self.dim // self.groups),) * self.groups

    def bits(self, z: Float[Tensor, "b n d"]) -> Bool[Tensor, "b n d"]:
        """What the ids are made of. Zero is no bit."""
        return z > 0

    @abstractmethod
    def vectors(self, bits: Bool[Tensor, "b n d"]) -> Float[Tensor, "b n e"]:
        """What the decoder sees."""

    def compared(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Vectors as their bits are decided."""
        return z

    def ids(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n *k"]:
        return self.numbered(self.bits(z))

    def choose(self, z: Float[Tensor, "b n d"]) -> Choice:
        return Choice(ids=self.ids(z), margin=self.compared(z).abs().amin(-1))

    def lookup(self, ids: Int[Tensor, "b n *k"]) -> Float[Tensor, "b n e"]:
        groups = ids[..., None] if self.groups == 1 else ids
        return self.vectors(bits_of(groups, self.dim // self.groups).flatten(2))

    def numbered(self, bits: Bool[Tensor, "b n d"]) -> Int[Tensor, "b n *k"]:
        """The ids of bits."""
        numbers = number_of(bits.unflatten(-1, (self.groups, -1)))
        return numbers[..., 0] if self.groups == 1 else numbers


class LookupFreeQuantizer(BitQuantizer):
    """The decoder sees +1 and -1. The first coordinate is the *lowest* bit of an id.

    Terms: ``commitment``, and the entropies of :class:`BitEntropy`.
    """

    def __init__(self, dim: int, groups: int = 1, temperature: float = 0.01) -> None:
        super().__init__(dim, groups)
        self.entropy = BitEntropy(temperature=temperature)

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            bits = self.bits(z)
            codes = self.vectors(bits)
            terms = {"commitment": distance(z, codes), **self.entropy(z)}
        return Quantized(z=straight_through(z, codes), ids=self.numbered(bits), vocab=self.vocab, terms=terms)

    def vectors(self, bits: Bool[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return bits.float() * 2 - 1

    def numbered(self, bits: Bool[Tensor, "b n d"]) -> Int[Tensor, "b n *k"]:
        return super().numbered(bits.unflatten(-1, (self.groups, -1)).flip(-1).flatten(-2))

    def lookup(self, ids: Int[Tensor, "b n *k"]) -> Float[Tensor, "b n d"]:
        return super().lookup(ids).unflatten(-1, (self.groups, -1)).flip(-1).flatten(-2)


class BinarySphericalQuantizer(BitQuantizer):
    """Vectors are put on the unit sphere; the decoder sees the signs there, each ``dim ** -0.5`` long.

    Terms: ``commitment``; ``sample_entropy`` of a vector's bits; ``batch_entropy`` of the mean soft assignment, taken over
    groups of ``entropy_group`` bits and summed. In nats.
    """

    def __init__(self, dim: int, groups: int = 1, entropy_group: int = 1) -> None:
        super().__init__(dim, groups)
        self.scale = dim**-0.5
        self.entropy = GroupEntropy(size=entropy_group, temperature=dim**0.5)

    def compared(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return F.normalize(z, dim=-1)

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        with torch.autocast(z.device.type, enabled=False):
            z = self.compared(z.float())
            bits = self.bits(z)
            codes = self.vectors(bits)
            terms = {"commitment": distance(z, codes) * self.dim, **self.entropy(z)}
        return Quantized(z=straight_through(z, codes), ids=self.numbered(bits), vocab=self.vocab, terms=terms)

    def vectors(self, bits: Bool[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return (bits.float() * 2 - 1) * self.scale


class BinaryQuantizer(BitQuantizer):
    """Logits of independent bits; the decoder sees the sum of a learned vector of ``width`` for each bit that is set.

    In training bits are drawn; in use a bit is set where its probability is above one half. Terms: ``uncertainty``, the mean of
    ``s (1 - s)``.
    """

    def __init__(self, dim: int, width: int, groups: int = 2) -> None:
        super().__init__(dim, groups)
        self.embedding = nn.Parameter(torch.randn(dim, width) * dim**-0.5)

    def bits(self, z: Float[Tensor, "b n d"]) -> Bool[Tensor, "b n d"]:
        return z.sigmoid() > 0.5

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        p = z.float().sigmoid()
        drawn = torch.bernoulli(p.detach())
        # "Code loss" of the source: of the sigmoid of what is a probability already.
        terms = {"uncertainty": (p.sigmoid() * (1 - p.sigmoid())).flatten(1).mean(1)}
        return Quantized(z=straight_through(p, drawn) @ self.embedding, ids=self.numbered(drawn.bool()), vocab=self.vocab, terms=terms)

    def vectors(self, bits: Bool[Tensor, "b n d"]) -> Float[Tensor, "b n e"]:
        return bits.to(self.embedding.dtype) @ self.embedding
