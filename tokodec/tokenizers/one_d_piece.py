"""One-D-Piece: TiTok as first released, with 256 ids of which any first ones are a picture.

    x ── encoder ──> z (b,256,12) ── quantizer ──> ids ── the first k ── lookup ── decoder ──> x_hat

In training the tail of the row is dropped after the quantizer, which moves what matters most to its head.

Source: Miwa et al., "One-D-Piece: image tokenizer meets quality-controllable compression", 2025 (turingmotors/One-D-Piece).
"""

import torch
from jaxtyping import Int
from torch import Tensor

from tokodec.entry import Entry, Origin, Weights
from tokodec.tokenizers.prefix import PrefixTokenizer
from tokodec.tokenizers.titok import BASE, LARGE, SMALL, TINY, ProxyConfig, TiTok


class OneDPiece(PrefixTokenizer, TiTok):
    """The decoder's row is as long as there are ids; nothing stands for those that were dropped."""

    def drawn_lengths(self, items: int) -> Int[Tensor, " b"]:
        """One length for the whole batch, every length alike."""
        return torch.randint(1, self.row + 1, (1,)).expand(items)


def _entry(letter: str, tower: tuple[int, int, int]) -> Entry:
    return Entry(
        build=OneDPiece,
        config=ProxyConfig(encoder=tower, decoder=tower, row=256),
        family="one_d_piece",
        origin=Origin(repo=f"turing-motors/One-D-Piece-{letter}-256", file="model.safetensors", licence="Apache-2.0"),
        variable_rate=True,
        variable_length=True,
    )


MODELS = {
    "one_d_piece_s256": _entry("S", SMALL),
    "one_d_piece_b256": _entry("B", BASE),
    "one_d_piece_l256": _entry("L", LARGE),
    "one_d_piece_test": Entry(
        build=OneDPiece,
        config=TINY,
        family="one_d_piece",
        weights=Weights(file="one_d_piece_test.safetensors"),
        variable_rate=True,
        variable_length=True,
    ),
}
