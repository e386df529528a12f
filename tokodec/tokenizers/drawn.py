"""A tokenizer whose ids say what is seen, with something that draws it.

    x ── tokenizer ──> ids ── tokenizer ──> embedding ── painter ── stretched to the size of x ──> x_hat

The painter is handed over: a diffusion model that is told an embedding, say. Together they are a tokenizer of pictures, and, as any
discrete tokenizer, a codec.
"""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tokodec.api import DiscreteTokenizer, Output, Pixels, Sampler, Tokens
from tokodec.errors import InputError

Painter = Callable[[Float[Tensor, "b d"], Sampler], Pixels]
"""What draws pictures in [0, 1], of whatever size is its own, of embeddings."""


class Drawn(DiscreteTokenizer):
    """``tokenizer``, decoding to pictures. Ids, and the fingerprint of what makes them, are its own.

    Raises InputError for a tokenizer that decodes to something else than embeddings.
    """

    def __init__(self, tokenizer: DiscreteTokenizer, painter: Painter) -> None:
        super().__init__()
        if tokenizer.gives != "embeddings":
            raise InputError(f"{tokenizer.name or 'the tokenizer'} decodes to {tokenizer.gives or 'pictures'}: only embeddings are drawn")
        self.tokenizer, self.painter = tokenizer, painter
        self.name, self.fingerprint, self.numerics = tokenizer.name, tokenizer.fingerprint, tokenizer.numerics
        self.bytes_per_pixel, self.stride, self.layout = tokenizer.bytes_per_pixel, tokenizer.stride, tokenizer.layout

    def encode(self, x: Pixels, *, quality: float | Float[Tensor, " b"] | None = None) -> Tokens:
        return self.tokenizer.encode(x, quality=quality)

    def blank(self, size: tuple[int, ...]) -> Tokens:
        return self.tokenizer.blank(size)

    def decode(self, code: Tokens, *, sampler: Sampler | None = None) -> Pixels:
        """Pictures of the size that was encoded, as ``sampler`` says; by default as :class:`Sampler` does."""
        drawn = self.painter(self.tokenizer.decode(code), sampler or Sampler())
        size = (code.size[0], code.size[1])
        same = tuple(drawn.shape[2:]) == size
        return (drawn if same else F.interpolate(drawn, size=size, mode="bicubic", antialias=True)).clamp(0, 1)

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """As the tokenizer trains, which knows no painter."""
        return self.tokenizer(x, quality=quality)
