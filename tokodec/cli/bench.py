"""tokodec bench run: measure models and classical codecs on a suite."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option, Typer

from tokodec.catalogue import model_info
from tokodec.cli import talk
from tokodec.cli.options import flat
from tokodec.errors import InputError

SOME_FAILED = 3

bench = Typer(help="Measure models beside classical codecs.", no_args_is_help=True, rich_markup_mode=None)


@bench.callback()
def _group() -> None:
    """Keeps ``run`` a verb of its own while it is the only one."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Who takes part, and against whom BD-rates are taken."""

    models: Annotated[list[str] | None, Option("--model", "-m", metavar="NAME", help="May be repeated; by default one codec.")] = None
    baselines: Annotated[str, Option(metavar="NAME,...", help="Such as jpeg,webp,avif, each also with _ds2 and _ds4.")] = ""
    lengths: Annotated[
        str, Option(metavar="N,...", help="Of models whose ids go from coarse to fine: numbers of ids, such as 1,2,4, for qualities.")
    ] = ""
    anchor: Annotated[str | None, Option(metavar="NAME", help="Of BD-rates; by default the first baseline, else the first model.")] = None


def run(
    suite: Annotated[str, Argument(metavar="SUITE", help="A suite of eval/, such as kodak; a TOML file; or a folder of pictures.")],
    *,
    contest: Contest,
    output: Annotated[Path | None, Option("--output", "-o", metavar="DIR", help="Where results go, and where a run continues.")] = None,
    data: Annotated[Path | None, Option(metavar="FOLDER", help="The folder that holds a suite's pictures.")] = None,
    jobs: Annotated[int, Option("--jobs", "-j", min=1, metavar="N", help="Processes, of one thread each.")] = 1,
    quiet: Annotated[bool, Option("--quiet", help="Say nothing but errors and the tables.")] = False,
    json: Annotated[bool, Option("--json", help="Print the JSON of the results instead of tables.")] = False,
) -> int:
    """Code every picture with every model and baseline, decode it, and measure.

    Whole files, 8-bit RGB. Writes results.json, results.csv, results.md, rd.png and rd.svg into DIR. After an interruption the same
    command goes on where it stood. Exit code 3 when some pictures failed.
    """
    if output is None:
        raise InputError("name the folder of the results with -o")
    from tokodec import files
    from tokodec.eval import lengths, plot
    from tokodec.eval.contestants import Named
    from tokodec.eval.run import Run, carry_out
    from tokodec.eval.suite import find_suite

    plot.require()
    found, entries = find_suite(suite, data)
    classical = [name.strip() for name in contest.baselines.split(",") if name.strip()]
    named = [Named(name=n, baseline=True) for n in classical]
    counts = lengths.parse(contest.lengths)
    named += [Named(name=n, baseline=False, qualities=found.qualities, lengths=counts) for n in contest.models or [files.DEFAULT_MODEL]]
    if counts and not any(":" in n.name or model_info(n.name).variable_length for n in named if not n.baseline):
        raise InputError("--lengths: no model that takes part has ids that go from coarse to fine")
    if len({n.name for n in named}) < len(named):
        raise InputError("a model or baseline is named twice")
    done = carry_out(Run(suite=found, entries=entries, contestants=named, folder=output, jobs=jobs), lambda *told: _tell(quiet, *told))
    _write(done, output, contest.anchor or done.contestants[0]["name"], json)
    return SOME_FAILED if done.failed else 0


bench.command()(flat(run))


def _tell(quiet: bool, count: int, total: int, row: dict[str, Any]) -> None:
    where = f"{row['contestant']} at {row['setting']}, {row['picture']}"
    if row["error"] is not None:
        talk.say(f"tokodec: {where}: {row['error']}")
    elif not quiet:
        talk.say(f"{count}/{total}  {where}: {row['bpp']:.3f} bpp, {row['psnr']:.2f} dB")


def _write(done: Any, output: Path, anchor: str, json: bool) -> None:
    from tokodec.atomic import write_whole
    from tokodec.eval import lengths, plot, summary, table

    points = summary.points(done)
    deltas = summary.deltas(done, anchor) if len(done.contestants) > 1 else []
    text = table.to_json(done, points, deltas, shlex.join(["tokodec", *sys.argv[1:]]))
    markdown = table.to_markdown(done, points, deltas, anchor)
    results = {"results.json": text.encode(), "results.csv": table.to_csv(done).encode(), "results.md": markdown.encode()}
    if points:
        results |= {f"rd.{suffix}": data for suffix, data in plot.plot(points, table.title(done)).items()}
    own = lengths.by_length(done, points)
    if own:
        markdown = f"{markdown}\n{lengths.to_markdown(points, own)}"
        results["results.md"] = markdown.encode()
        results |= {f"ids.{suffix}": data for suffix, data in plot.by_length(own, table.title(done)).items()}
    for name, data in results.items():
        write_whole(output / name, data)
    for line in (text if json else markdown).splitlines():
        talk.put(line)
