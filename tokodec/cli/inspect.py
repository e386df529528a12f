"""tokodec inspect: what a file says of itself. Needs no weights and no torch."""

from collections.abc import Callable
from itertools import groupby
from typing import Annotated

from typer import Argument, Option

from tokodec.cli import talk
from tokodec.cli.batch import shared_code
from tokodec.cli.options import Selection
from tokodec.cli.paths import find
from tokodec.cli.streams import read_tkd, shown
from tokodec.entropy import layerplan, tileplan
from tokodec.entropy.container import TkdFile, unpack
from tokodec.entropy.layerplan import LayerPlan


def inspect(
    inputs: Annotated[list[str] | None, Argument(metavar="FILE...", help=".tkd files, folders of them, or - for stdin.")] = None,
    *,
    json: Annotated[bool, Option("--json", help="Print one JSON object a file.")] = False,
    selection: Selection,
) -> int:
    """Print what .tkd files hold.

    Model, size, bits and segments, after their checksums were checked.
    """
    sources = find(inputs or [], selection, (".tkd",))
    errors: list[Exception | None] = []
    for source in sources:
        try:
            data = read_tkd(source.path)
            _print(shown(source.path), data, unpack(data), json)
            errors.append(None)
        except Exception as error:  # noqa: BLE001 - one bad file must not stop the others
            talk.say(f"tokodec: {talk.complaint(error, shown(source.path))}")
            errors.append(error)
    return shared_code((talk.code_of(error) for error in errors if error is not None), len(sources))


def row(data: bytes, file: TkdFile) -> dict[str, object]:
    """The JSON object of a file. ``bpp``: bits of the whole file per pixel.

    ``layers``: how many ids there are after each, also after those that are not there any more; ``lost``: how many those are.
    """
    header, plan = file.header, layerplan.plan_of(file)
    return {
        "model": header.model,
        "fingerprint": header.fingerprint.hex(),
        "width": header.width,
        "height": header.height,
        "file_bytes": len(data),
        "payload_bytes": file.payload_bytes,
        "tiles": len(file.payloads) if tileplan.plan_of(file) else 1,
        "layers": [layer.ids for layer in plan.layers] if plan else [],
        "lost": len(plan.layers) - len(file.payloads) if plan else 0,
        "bpp": round(8 * len(data) / (header.width * header.height), 6),
    }


def _print(name: str, data: bytes, file: TkdFile, json: bool) -> None:
    if json:
        talk.put_json(row(data, file))
        return
    header, bpp = file.header, _bpp(file)
    talk.put(name)
    talk.put(f"  format       {header.version[0]}.{header.version[1]}{' (experimental)' if file.experimental else ''}")
    talk.put(f"  model        {header.model}, fingerprint {header.fingerprint.hex()}")
    talk.put(f"  picture      {header.width} x {header.height}{', gray' if header.gray else ''}")
    talk.put(f"  file         {len(data)} bytes, {bpp(len(data))}")
    talk.put(f"  payload      {file.payload_bytes} bytes, {bpp(file.payload_bytes)}")
    tiles, layers = tileplan.plan_of(file), layerplan.plan_of(file)
    if tiles is not None:
        talk.put(f"  tiles        {len(tiles.crcs)} of {tiles.side} x {tiles.side}")
    if layers is not None:
        _put_layers(layers, file)
    for kind, same in groupby(file.segments, lambda segment: segment.kind):
        sizes = [len(segment.data) for segment in same]
        talk.put(f"  segment {chr(kind)}    {sum(sizes)} bytes{f' in {len(sizes)}' if len(sizes) > 1 else ''}")
    talk.put(f"  symbols      CRC-32 {header.symbol_crc:08x}")


def _put_layers(plan: LayerPlan, file: TkdFile) -> None:
    there = len(file.payloads)
    talk.put(f"  layers       {f'{there} of ' if file.lost else ''}{len(plan.layers)}{f', {file.lost}' if file.lost else ''}")
    for number, (layer, payload) in enumerate(zip(plan.layers, file.payloads, strict=False), 1):
        talk.put(f"  layer {number:<6} {layer.ids} ids, {len(payload)} bytes")


def _bpp(file: TkdFile) -> Callable[[int], str]:
    return lambda size: f"{8 * size / (file.header.width * file.header.height):.4f} bpp"
