"""The tokenizers, one file a family. A new family adds its name to the two lines below."""

from tokodec.entry import Entry, merge
from tokodec.tokenizers import bsqvit, vq, vqgan

MODELS: dict[str, Entry] = merge(bsqvit.MODELS, vq.MODELS, vqgan.MODELS)
