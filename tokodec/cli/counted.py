"""What is done to one picture by the verb that analyses, and what becomes of all. Imports torch: only for when there is work to do."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokodec import __version__
from tokodec.analyze.corpus import corpora
from tokodec.analyze.document import Document, Failed, FileCoder
from tokodec.analyze.figures import figures
from tokodec.cli.tokens import Recorded, Tokenize
from tokodec.codecs.token import PRIOR, TokenCodec
from tokodec.tokenfile import Record, compact


@dataclass(frozen=True, kw_only=True)
class Counted(Recorded):
    """A record; its size is that of the payload of a .tkd file. ``with_prior``: whether the tokenizer's prior made it."""

    ids: int
    with_prior: bool


@dataclass(frozen=True, kw_only=True)
class Count(Tokenize):
    """Picture to record, and to the payload that a .tkd file would have."""

    codec: TokenCodec

    def finish(self, coded: Record) -> Counted:
        tokens = coded.tokens
        (payload,) = self.codec.write(self.codec.symbols_of(tokens))
        count = sum(stream.ids.numel() for stream in tokens.streams.values())
        return Counted(
            size=len(payload),
            pixels=tokens.size[0] * tokens.size[1],
            remark=f"{count} ids",
            record=compact(coded),
            model=self.tokenizer.name,
            fingerprint=self.tokenizer.fingerprint.hex(),
            ids=count,
            with_prior=payload[0] == PRIOR,
        )


def document(counted: Sequence[Counted], failed: Sequence[Failed]) -> Document:
    """All figures of at least one picture."""
    payload, ids, pixels = (sum(values) for values in zip(*((c.size, c.ids, c.pixels) for c in counted), strict=True))
    return Document(
        writer=f"tokodec {__version__}",
        model=counted[0].model,
        fingerprint=counted[0].fingerprint,
        pictures=len(counted),
        pixels=pixels,
        failed=failed,
        file_coder=FileCoder(
            ids=ids,
            payload_bytes=payload,
            bits_per_id=8 * payload / ids,
            bits_per_pixel=8 * payload / pixels,
            with_prior=sum(c.with_prior for c in counted),
        ),
        codebooks=[figures(corpus) for corpus in corpora([c.record for c in counted])],
    )
