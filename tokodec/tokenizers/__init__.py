"""The tokenizers, one file a family. A new family adds its name to the two lines below."""

from tokodec.entry import Entry, merge

MODELS: dict[str, Entry] = merge()
