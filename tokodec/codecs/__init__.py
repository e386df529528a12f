"""The codecs, one file a family. A new family adds its name to the two lines below."""

from tokodec.codecs import hyperprior_vr
from tokodec.entry import Entry, merge

MODELS: dict[str, Entry] = merge(hyperprior_vr.MODELS)
