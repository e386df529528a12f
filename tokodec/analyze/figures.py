"""All figures of one codebook."""

from dataclasses import dataclass

import numpy as np

from tokodec.analyze.compression import Compression, compression
from tokodec.analyze.corpus import Corpus
from tokodec.analyze.counts import tally
from tokodec.analyze.frequency import Frequency, frequency
from tokodec.analyze.heaps import Heaps, heaps
from tokodec.analyze.mutual import Mutual, horizontal, vertical
from tokodec.analyze.ngrams import NGrams, downwards, ngrams, raster
from tokodec.analyze.positions import Positions, positions
from tokodec.analyze.zipf import Zipf, zipf

LONGEST = 4


@dataclass(frozen=True, kw_only=True)
class Figures:
    """See the modules that the fields come from. ``raster``: n = 1 to 4; ``columns``: n = 1 and 2, downwards."""

    stream: str
    codebook: int
    name: str
    frequency: Frequency
    zipf: Zipf
    heaps: Heaps
    raster: list[NGrams]
    columns: list[NGrams]
    horizontal: Mutual | None
    vertical: Mutual | None
    positions: Positions
    compression: Compression


def figures(corpus: Corpus) -> Figures:
    """Of a corpus with at least one id."""
    grids, all_ids = corpus.grids, corpus.ids()
    ids, counts = tally(all_ids)
    return Figures(
        stream=corpus.stream,
        codebook=corpus.codebook,
        name=corpus.name,
        frequency=frequency(ids, counts, corpus.size),
        zipf=zipf(counts),
        heaps=heaps(all_ids, np.array([grid.size for grid in grids])),
        raster=list(ngrams(raster(grids), LONGEST)),
        columns=list(ngrams(downwards(grids), 2)),
        horizontal=horizontal(grids),
        vertical=vertical(grids),
        positions=positions(grids),
        compression=compression(all_ids, corpus.size),
    )
