"""tokodec bench report and export: what a run left, as a page, and as files of other projects."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from tokodec.cli import talk
from tokodec.cli.options import Telling, parse_size
from tokodec.errors import InputError

if TYPE_CHECKING:
    from tokodec.eval.results import Results

FORMATS = ("codec-compare", "compressai")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a run left what is shown."""

    cache: Annotated[Path | None, Option(metavar="FOLDER", help="The folder of decoded pictures, unless it is DIR/cache.")] = None

    def kept(self, folder: Path) -> Path:
        """Of the run into that folder."""
        return self.cache or folder / "cache"


def report(
    folder: Annotated[Path, Argument(metavar="DIR", help="The folder of a run.")],
    *,
    source: Source,
    telling: Telling,
    output: Annotated[Path | None, Option("--output", "-o", metavar="FILE", help="The page; DIR/report.html.")] = None,
    beside: Annotated[
        list[Path] | None, Option(metavar="FILE", help="A results file of CompressAI, drawn as a dashed curve; may be repeated.")
    ] = None,
    pictures: Annotated[str, Option(metavar="SIZE", help="Of the pictures in the page, at most.")] = "36M",
) -> int:
    """Make a page of a run: curves, a table that sorts, and the pictures to compare. One file that needs no network.

    Writes report.html, and beside it report.md, report.csv and, with matplotlib, rd_MEASURE.png and .svg of every measure.
    """
    from importlib.util import find_spec

    from tokodec.atomic import write_whole
    from tokodec.eval.exchange.compressai import read_curve
    from tokodec.eval.kept import Kept
    from tokodec.eval.report.page import page
    from tokodec.eval.report.tables import to_csv, to_markdown
    from tokodec.eval.results import read_results

    results, budget = read_results(folder), parse_size(pictures)
    curves = [read_curve(path) for path in beside or ()]
    counter = _Counter(telling)
    try:
        text = page(results, Kept(source.kept(folder)), curves, budget, counter)
    finally:
        counter.close()
    final = output or folder / "report.html"
    written = {
        final: text.encode(),
        final.with_suffix(".md"): to_markdown(results).encode(),
        final.with_suffix(".csv"): to_csv(results).encode(),
    }
    if find_spec("matplotlib") is not None:
        written |= {final.parent / name: data for name, data in _plots(results).items()}
    for path, data in written.items():
        write_whole(path, data)
    talk.put(str(final))
    return 0


def _plots(results: "Results") -> Mapping[str, bytes]:
    from tokodec.eval.plot import curves

    drawn = {f"rd_{c.key}": curves(results.points, c.key, c.title, str(results.content["title"])) for c in results.measures}
    return {f"{name}.{suffix}": data for name, by_suffix in drawn.items() for suffix, data in by_suffix.items()}


class _Counter:
    """How many pictures of a page are ready."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._progress: talk.Progress | None = None
        self._told = 0

    def __call__(self, ready: int, total: int) -> None:
        if ready < self._told:  # another attempt, with smaller pictures
            self.close()
        if self._progress is None:
            self._progress, self._told = talk.progress(self._telling, total, talk.Bar), 0
        if isinstance(self._progress, talk.Bar):
            for _ in range(ready - self._told):
                self._progress.done("", "", ok=True)
        elif ready == total:
            self._progress.done("pictures", f"{total} pictures", ok=True)
        self._told = ready

    def close(self) -> None:
        """No more come."""
        if self._progress is not None:
            self._progress.close()
        self._progress, self._told = None, 0


def export(
    target: Annotated[str, Argument(metavar="FORMAT", help="codec-compare or compressai.")],
    folder: Annotated[Path, Argument(metavar="DIR", help="The folder of a run.")],
    *,
    source: Source,
    output: Annotated[Path | None, Option("--output", "-o", metavar="OUT", help="The folder to write.")] = None,
) -> int:
    """Write the results of a run as another project reads them.

    codec-compare: a batch a contestant, batches.json to load, and the pictures for its viewer: a folder to put beside its index.html,
    which is opened as index.html?load=OUT/batches.json.
    compressai: a results file a contestant.
    """
    if target not in FORMATS:
        raise InputError(f"there is no format {target!r}; there are {', '.join(FORMATS)}")
    if output is None:
        raise InputError("name the folder to write with -o")
    from tokodec.atomic import write_whole
    from tokodec.eval.results import read_results

    results = read_results(folder)
    made = _codec_compare(results, folder, source.kept(folder), output) if target == FORMATS[0] else _compressai(results)
    output.mkdir(parents=True, exist_ok=True)
    for name, data in made.items():
        write_whole(output / name, data)
        talk.put(str(output / name))
    return 0


def _compressai(results: "Results") -> Mapping[str, bytes]:
    from tokodec.eval.exchange.compressai import to_compressai

    return to_compressai(results)


def _codec_compare(results: "Results", folder: Path, kept: Path, output: Path) -> Mapping[str, bytes]:
    from tokodec.eval.exchange.codec_compare import pictures, to_codec_compare

    for name, key in pictures(results).items():
        source, target = kept / key.path, output / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    written = datetime.fromtimestamp((folder / "results.json").stat().st_mtime, UTC)
    return to_codec_compare(results, written.isoformat(timespec="seconds"), output.resolve().name)
