"""tokodec bench: measure models and classical codecs on a suite, and compare two results."""

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option, Typer

from tokodec.catalogue import model_info
from tokodec.cli import talk
from tokodec.cli.judging import Judging
from tokodec.cli.meter import Meter
from tokodec.cli.options import Telling, flat
from tokodec.cli.report import export, report
from tokodec.errors import InputError

if TYPE_CHECKING:
    from tokodec.eval.run import Run

SOME_FAILED = 3
WORSE = 9
"""The exit code of a comparison of which a condition holds."""

bench = Typer(help="Measure models beside classical codecs.", no_args_is_help=True, rich_markup_mode=None)


@dataclass(frozen=True, kw_only=True)
class Contest(Judging):
    """Who takes part, against whom BD-rates are taken, and what is measured."""

    models: Annotated[list[str] | None, Option("--model", "-m", metavar="NAME", help="May be repeated; by default one codec.")] = None
    baselines: Annotated[str, Option(metavar="NAME,...", help="Such as jpeg,webp,avif,jxl,heic, each also with _ds2 and _ds4.")] = ""
    lengths: Annotated[
        str, Option(metavar="N,...", help="Of models whose ids go from coarse to fine: numbers of ids, such as 1,2,4, for qualities.")
    ] = ""
    points: Annotated[
        int | None, Option(min=1, metavar="N", help="At most so many settings of each, spread over its own: for judges that take long.")
    ] = None
    anchor: Annotated[str | None, Option(metavar="NAME", help="Of BD-rates; by default the first baseline, else the first model.")] = None
    measures: Annotated[str, Option(metavar="NAME,...", help="Such as psnr,lpips_alex,fid; all: what can be taken here.")] = ""

    @property
    def measured(self) -> list[str]:
        """The names of ``measures``."""
        return _names(self.measures)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a benchmark runs, and what it keeps."""

    output: Annotated[Path | None, Option("--output", "-o", metavar="DIR", help="Where results go, and where a run continues.")] = None
    data: Annotated[Path | None, Option(metavar="FOLDER", help="The folder that holds a suite's pictures.")] = None
    cache: Annotated[
        str | None, Option(metavar="FOLDER|none", help="Where decoded pictures are kept, so that nothing is coded twice; DIR/cache.")
    ] = None
    jobs: Annotated[int, Option("--jobs", "-j", min=1, metavar="N", help="Processes, of one thread each.")] = 1
    device: Annotated[str, Option(metavar="NAME", help="cpu; cuda: all there are, one a process in turn; cuda:1 ...")] = "cpu"

    def folder(self) -> Path:
        """Of the results. Raises InputError."""
        if self.output is None:
            raise InputError("name the folder of the results with -o")
        return self.output

    def kept(self) -> Path | None:
        """The folder of decoded pictures."""
        return None if self.cache == "none" else self.folder() / "cache" if self.cache is None else Path(self.cache)


def run(
    suite: Annotated[str, Argument(metavar="SUITE", help="A suite of eval/, such as kodak; a TOML file; or a folder of pictures.")],
    *,
    contest: Contest,
    place: Place,
    telling: Telling,
    json: Annotated[bool, Option("--json", help="Print the JSON of the results instead of tables.")] = False,
) -> int:
    """Code every picture with every model and baseline, decode it, and measure.

    Whole files, 8-bit RGB. Writes results.json, results.csv, results.md, rd.png and rd.svg into DIR. After an interruption the same
    command goes on where it stood. tokodec bench report DIR makes a page of it. Exit code 3 when some pictures failed.
    """
    output = place.folder()
    from tokodec.eval import plot
    from tokodec.eval.run import carry_out

    plot.require()
    asked = _asked(suite, contest, place)
    meter = Meter(telling, asked.measures[0])
    try:
        done = carry_out(asked, meter)
    finally:
        meter.close()
    _write(done, output, contest.anchor or done.contestants[0]["name"], json)
    if not telling.quiet:
        talk.say(f"tokodec bench report {shlex.quote(str(output))} makes a page of it, with the pictures")
    return SOME_FAILED if done.failed else 0


def _asked(suite: str, contest: Contest, place: Place) -> "Run":
    """What the flags say. Raises InputError."""
    from tokodec import files
    from tokodec.eval import lengths
    from tokodec.eval.contestants import Named
    from tokodec.eval.devices import devices
    from tokodec.eval.measures import chosen
    from tokodec.eval.run import Run
    from tokodec.eval.suite import find_suite

    measures = chosen(contest.measured, lambda line: talk.say(f"tokodec: {line}"))
    found, entries = find_suite(suite, place.data, contest.labels)
    found = contest.applied(found)
    named = [Named(name=n, baseline=True, points=contest.points) for n in _names(contest.baselines)]
    counts = lengths.parse(contest.lengths)
    of_models = Named(name="", baseline=False, qualities=found.qualities, lengths=counts, points=contest.points)
    named += [replace(of_models, name=n) for n in contest.models or [files.DEFAULT_MODEL]]
    if counts and not any(":" in n.name or model_info(n.name).variable_length for n in named if not n.baseline):
        raise InputError("--lengths: no model that takes part has ids that go from coarse to fine")
    if len({n.name for n in named}) < len(named):
        raise InputError("a model or baseline is named twice")
    return Run(
        suite=found,
        entries=entries,
        contestants=named,
        folder=place.folder(),
        measures=measures,
        kept=place.kept(),
        jobs=place.jobs,
        devices=devices(place.device),
        judge_device=contest.judge_device,
    )


def compare(
    old: Annotated[Path, Argument(metavar="OLD", help="results.json of a run, or its folder.")],
    new: Annotated[Path, Argument(metavar="NEW", help="The same of another run of that protocol.")],
    *,
    fail_if: Annotated[
        list[str] | None, Option(metavar="CONDITION", help='May be repeated: "psnr<-0.05", "bpp>1%", of mean differences NEW - OLD.')
    ] = None,
    json: Annotated[bool, Option("--json", help="Print JSON instead of a table.")] = False,
) -> int:
    """What changed from OLD to NEW: differences paired by contestant, setting and picture, with intervals and tests.

    A condition holds if it is true of any contestant at any setting; then, and when results of OLD are lost in NEW, the exit code is 9.
    Results of different protocols are refused (2).
    """
    from tokodec.eval import compared
    from tokodec.eval.compare import compare as compare_results
    from tokodec.eval.compare import condition, read_results

    conditions = [condition(text) for text in fail_if or ()]
    found = compare_results(read_results(old), read_results(new), [c.name for c in conditions])
    failures = found.failures(conditions)
    for line in (compared.to_json(found, failures) if json else compared.to_markdown(found)).splitlines():
        talk.put(line)
    for line in failures:
        talk.say(f"tokodec: {line}")
    return WORSE if failures else 0


for _verb in (run, report, compare, export):
    bench.command()(flat(_verb))


def _names(text: str) -> list[str]:
    """Of a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _write(done: Any, output: Path, anchor: str, json: bool) -> None:
    from tokodec.atomic import write_whole
    from tokodec.eval import lengths, plot, summary, table
    from tokodec.eval.deltas import deltas
    from tokodec.eval.statistics import statistics

    figures = table.Results(
        done=done,
        points=summary.points(done),
        deltas=deltas(done, anchor) if len(done.contestants) > 1 else [],
        statistics=statistics(done, anchor),
        anchor=anchor,
    )
    text, markdown = table.to_json(figures, shlex.join(["tokodec", *sys.argv[1:]])), table.to_markdown(figures)
    results = {"results.json": text.encode(), "results.csv": table.to_csv(done).encode(), "results.md": markdown.encode()}
    drawn = [p for p in figures.points if p.values[figures.main] is not None]
    if drawn:
        known = figures.measures[figures.main]
        results |= {f"rd.{suffix}": data for suffix, data in plot.plot(drawn, table.title(done), figures.main, known).items()}
        own = lengths.by_length(done, drawn)
        if own:
            markdown = f"{markdown}\n{lengths.to_markdown(drawn, own, figures.main, known)}"
            results["results.md"] = markdown.encode()
            results |= {f"ids.{suffix}": data for suffix, data in plot.by_length(own, table.title(done), figures.main, known).items()}
    for name, data in results.items():
        write_whole(output / name, data)
    for line in (text if json else markdown).splitlines():
        talk.put(line)
