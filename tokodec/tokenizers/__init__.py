"""The tokenizers, one file a family. A new family adds its name to the two lines below."""

from tokodec.entry import Entry, merge
from tokodec.tokenizers import bae, cosmos, open_magvit2, vq, vqgan

MODELS: dict[str, Entry] = merge(bae.MODELS, cosmos.MODELS, open_magvit2.MODELS, vq.MODELS, vqgan.MODELS)
