"""Codebooks for tests."""

from tokodec.quantizers.codebook import VectorQuantizer


def spread(quantizer: VectorQuantizer) -> VectorQuantizer:
    """With codes far from each other: a few start nearly at zero."""
    quantizer.codebook.data.normal_()
    return quantizer
