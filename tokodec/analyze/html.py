"""index.html: all figures on one page that needs no other file and no network."""

import json
import math
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from tokodec.analyze.atlas import Atlas
from tokodec.analyze.chart import Series, heat_map, log_log
from tokodec.analyze.document import Document
from tokodec.analyze.figures import Figures
from tokodec.analyze.mutual import Mutual
from tokodec.analyze.ngrams import NGrams
from tokodec.page.html import table, tiles, whole

_SHOWN = 10
"""N-grams of each kind."""


def page(document: Document, atlases: Sequence[Atlas]) -> str:
    """The text of the page. ``atlases``: of those codebooks that have one."""
    found = {atlas.name: atlas for atlas in atlases}
    sections = "".join(_section(figures, found.get(figures.name)) for figures in document.codebooks)
    body = _header(document) + sections + _failures(document)
    return whole(f"Tokens of {document.model}", body, style=_part("page.css"), script=_part("page.js"))


def _part(name: str) -> str:
    return (files("tokodec.analyze") / "page" / name).read_text(encoding="utf-8")


def _header(document: Document) -> str:
    coder, codebooks = document.file_coder, document.codebooks
    shown = tiles(
        [
            ("pictures", f"{document.pictures:,}", f"{document.pixels / 1e6:,.2f} megapixels" + _and_failed(document)),
            ("ids", f"{coder.ids:,}", f"of {len(codebooks)} codebook" + "s" * (len(codebooks) > 1)),
            ("in .tkd files", f"{coder.bits_per_id:.2f} bits an id", f"{coder.bits_per_pixel:.4f} bits a pixel, payloads"),
        ]
    )
    links = "".join(f'<a href="#{escape(f.name)}">{escape(f.name)}</a>' for f in codebooks) if len(codebooks) > 1 else ""
    maker = f"{escape(document.model)}, fingerprint <code>{escape(document.fingerprint)}</code>, {escape(document.writer)}"
    return f"<header><h1>Tokens of {escape(document.model)}</h1><p>{maker}</p></header>{shown}{links and f'<nav>{links}</nav>'}"


def _and_failed(document: Document) -> str:
    return f"; {len(document.failed)} more failed" if document.failed else ""


def _failures(document: Document) -> str:
    rows = "".join(f"<li><code>{escape(f.name)}</code> {escape(f.error)}</li>" for f in document.failed)
    return f"<section><h2>Not counted</h2><ul>{rows}</ul></section>" if rows else ""


def _section(figures: Figures, atlas: Atlas | None) -> str:
    parts = (
        _headline(figures),
        _plots(figures),
        _grams(figures),
        _neighbours(figures),
        _bits(figures),
        "" if atlas is None else _atlas(atlas),
    )
    return f'<section id="{escape(figures.name)}"><h2>Codebook {escape(figures.name)}</h2>{"".join(parts)}</section>'


def _headline(figures: Figures) -> str:
    f, z, h = figures.frequency, figures.zipf.likelihood, figures.heaps
    shown = [
        ("usage", f"{f.usage:.1%}", f"{f.used:,} of {f.size:,} codes; {f.dead:,} never seen in {f.total:,} ids"),
        ("perplexity", f"{f.perplexity:,.0f} codes", f"{f.effective_share:.1%} of the codebook"),
        (
            "unigram entropy",
            f"{f.entropy_bits:.2f} bits",
            f"{f.entropy_miller_madow_bits:.2f} with Miller-Madow, of {math.log2(f.size):.2f}",
        ),
    ]
    if z is not None:
        shown.append(("Zipf exponent", f"{z.exponent:.2f}", f"maximum likelihood; KS distance {z.ks:.3f}"))
    if h.beta is not None:
        shown.append(("Heaps exponent", f"{h.beta:.2f}", "R² " + ("undefined" if h.r2 is None else f"{h.r2:.3f}")))
    return tiles(shown)


def _plots(figures: Figures) -> str:
    place = figures.positions
    how = "cells of relative positions, since grids differ" if place.relative else "positions of the grid"
    total = [n for row in place.ids for n in row]
    least = f"{min(total):,} to {max(total):,} ids each, so at most {math.log2(max(total)):.2f} bits"
    return '<div class="plots">' + "".join(
        (
            _figure("Frequency over rank", _rank_plot(figures)),
            _figure("New codes over ids read, in order of the pictures", _heaps_plot(figures)),
            _figure(f"Entropy at {how}; {least}", heat_map(place.entropy_bits, place.ids, "bits")),
        )
    ) + "</div>"  # fmt: skip


def _figure(caption: str, drawing: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{drawing}</figure>"


def _rank_plot(figures: Figures) -> str:
    counts, z = figures.frequency.counts, figures.zipf
    ranks = [*range(1, len(counts) + 1)]
    series = [Series(label="counts", kind="dots a", x=ranks, y=counts)]
    if z.least_squares is not None:
        fit = z.least_squares
        ends = [1, fit.ranks]
        label = f"least squares, count ≥ {fit.least_count}: exponent {fit.exponent:.2f}" + ("" if fit.r2 is None else f", R² {fit.r2:.3f}")
        series.append(Series(label=label, kind="line b", x=ends, y=[math.exp(fit.intercept) * r**-fit.exponent for r in ends]))
    if z.mandelbrot is not None:
        law = [(r + z.mandelbrot.q) ** -z.mandelbrot.exponent for r in ranks]
        scale = sum(counts) / sum(law)
        label = f"Zipf-Mandelbrot, likelihood: exponent {z.mandelbrot.exponent:.2f}, q {z.mandelbrot.q:.1f}"
        series.append(Series(label=label, kind="line c", x=ranks, y=[max(scale * v, 0.1) for v in law]))
    return log_log(series, "rank", "count")


def _heaps_plot(figures: Figures) -> str:
    h = figures.heaps
    series = [Series(label="codes seen", kind="dots a", x=h.n, y=h.vocabulary)]
    if h.K is not None and h.beta is not None:
        ends = [n for n in (10, h.n[-1]) if n <= h.n[-1]]
        label = f"{h.K:.2f} n^{h.beta:.2f}" + ("" if h.r2 is None else f", R² {h.r2:.3f}")
        series.append(Series(label=label, kind="line b", x=ends, y=[h.K * n**h.beta for n in ends]))
    return log_log(series, "ids read", "codes seen")


def _grams(figures: Figures) -> str:
    head = ("n", "in all", "different", "entropy, bits", "Miller-Madow", "conditional, bits", "unseen in held-out half", "... of different")
    rows = [_gram_row(f"{g.n}, row by row", g) for g in figures.raster] + [_gram_row(f"{g.n}, downwards", g) for g in figures.columns[1:]]
    kinds = [(f"{g.n} row by row", g) for g in figures.raster] + [(f"{g.n} downwards", g) for g in figures.columns[1:]]
    top = "".join(f"<div><h4>{name}</h4>{_top(g)}</div>" for name, g in kinds)
    return f'<h3>Ids in a row</h3>{table(head, rows)}<details><summary>The most frequent</summary><div class="tops">{top}</div></details>'


def _gram_row(name: str, g: NGrams) -> tuple[str, ...]:
    shares = ("-" if share is None else f"{share:.1%}" for share in (g.unseen, g.unseen_distinct))
    entropies = (f"{bits:.2f}" for bits in (g.entropy_bits, g.entropy_miller_madow_bits, g.conditional_bits))
    return (name, f"{g.total:,}", f"{g.distinct:,}", *entropies, *shares)


def _top(g: NGrams) -> str:
    rows = [(" ".join(map(str, gram.ids)), f"{gram.count:,}", f"{gram.share:.2%}") for gram in g.top[:_SHOWN]]
    return table(("ids", "count", "share"), rows)


def _neighbours(figures: Figures) -> str:
    rows = [_mutual(*pair) for pair in (("beside each other", figures.horizontal), ("below each other", figures.vertical))]
    head = ("neighbours", "pairs", "mutual information, bits", "shuffled", "excess")
    return f"<h3>What neighbours know of each other</h3>{table(head, rows)}"


def _mutual(name: str, m: Mutual | None) -> tuple[str, ...]:
    return (name, "0", "-", "-", "-") if m is None else (
        name, f"{m.pairs:,}", f"{m.bits:.3f}", f"{m.shuffled_bits:.3f}", f"{m.excess_bits:.3f}"
    )  # fmt: skip


def _bits(figures: Figures) -> str:
    c, f = figures.compression, figures.frequency
    rows = [
        ("log2 of the codebook", c.log2_size),
        ("plain, as in .tkd files", c.plain),
        ("unigram entropy", f.entropy_bits),
        ("unigram entropy, Miller-Madow", f.entropy_miller_madow_bits),
        ("zlib of packed ids", c.zlib_packed),
        ("zlib of whole bytes", c.zlib_bytes),
        ("lzma of packed ids", c.lzma_packed),
        ("lzma of whole bytes", c.lzma_bytes),
    ]
    head = ("way", "bits an id", "of log2")
    return f"<h3>Written down</h3>{table(head, [(n, f'{b:.3f}', f'{b / max(c.log2_size, 1e-9):.1%}') for n, b in rows])}"


def _atlas(atlas: Atlas) -> str:
    data = {
        "side": atlas.side,
        "columns": atlas.columns,
        "total": atlas.total,
        "ids": atlas.ids,
        "counts": atlas.counts,
        "neighbours": atlas.neighbours,
        "distances": [[float(f"{d:.3g}") for d in row] for row in atlas.distances],
    }
    sprite = b64encode(atlas.png).decode()
    return Template(_part("atlas.html")).substitute(
        name=escape(atlas.name),
        about=escape(atlas.about),
        data=json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        sprite=sprite,
    )
