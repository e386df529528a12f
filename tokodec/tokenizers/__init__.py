"""The tokenizers, one file a family. A new family adds its name to the two lines below."""

from tokodec.entry import Entry, merge
from tokodec.tokenizers import (
    ait,
    bae,
    bsqvit,
    cosmos,
    dualtoken,
    fourm,
    fourm_divae,
    fourm_masks,
    fourm_vectors,
    fqgan,
    illume,
    lavit,
    open_magvit2,
    tokenflow,
    vq,
    vqgan,
)

MODELS: dict[str, Entry] = merge(
    ait.MODELS,
    bae.MODELS,
    bsqvit.MODELS,
    cosmos.MODELS,
    dualtoken.MODELS,
    fourm.MODELS,
    fourm_divae.MODELS,
    fourm_masks.MODELS,
    fourm_vectors.MODELS,
    fqgan.MODELS,
    illume.MODELS,
    lavit.MODELS,
    open_magvit2.MODELS,
    tokenflow.MODELS,
    vq.MODELS,
    vqgan.MODELS,
)
