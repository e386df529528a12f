"""The tokenizers, one file a family. A new family adds its name to the two lines below."""

from tokodec.entry import Entry, merge
from tokodec.tokenizers import bsqvit, fourm, fourm_divae, fourm_masks, fourm_vectors, vq, vqgan

MODELS: dict[str, Entry] = merge(
    bsqvit.MODELS,
    fourm.MODELS,
    fourm_divae.MODELS,
    fourm_masks.MODELS,
    fourm_vectors.MODELS,
    vq.MODELS,
    vqgan.MODELS,
)
