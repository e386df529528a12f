"""Do bits decode anywhere? Every way to encode against every way to decode, each in its own process.

    python -m benchmarks.exactness FOLDER [-m MODEL] [--device cuda]

Encodes every picture of FOLDER at five qualities (a model of one rate: once) with 1 and 2 threads, alone and in batches of
8, contiguous and channels_last, float32 and bfloat16, and with other instruction sets for oneDNN, PyTorch's own kernels and
numpy's; then reads every payload under each of these conditions and compares the CRC-32 of the symbols. Prints a table and
the number of desyncs; exit code 1 if there is any.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

QUALITIES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One way to run a model; ``environment`` is set before the process starts."""

    threads: int = 1
    batch: int = 1
    channels_last: bool = True
    numerics: str = "stable"
    device: str = "cpu"
    environment: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        layout = "channels_last" if self.channels_last else "contiguous"
        extra = "".join(f" {k}={v}" for k, v in self.environment)
        return f"{self.device} {self.threads} thread{'s' * (self.threads > 1)} batch {self.batch} {layout} {self.numerics}{extra}"


def conditions(device: str) -> list[Condition]:
    """The full grid on the CPU, then other instruction sets, then the device."""
    grid = [
        Condition(threads=t, batch=b, channels_last=c, numerics=n)
        for t, b, c, n in product((1, 2), (1, 8), (False, True), ("stable", "fast"))
    ]
    sets = (
        ("ONEDNN_MAX_CPU_ISA", "AVX2"),
        ("ONEDNN_MAX_CPU_ISA", "SSE41"),
        ("ATEN_CPU_CAPABILITY", "default"),
        ("OPENBLAS_CORETYPE", "Nehalem"),  # of numpy, which computes the prior of ids
        ("MKL_CBWR", "COMPATIBLE"),  # of the float64 products of published codecs
    )
    isa = [Condition(environment=(pair,)) for pair in sets]
    other = [Condition(device=device, batch=b, numerics=n) for b, n in product((1, 8), ("stable", "fast"))] if device != "cpu" else []
    return grid + isa + other


def main() -> int:
    """Parse, spread over processes, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-m", "--model", default="fourstep_vr")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--worker", nargs=3, metavar=("VERB", "CONDITION", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        verb, condition, file = arguments.worker
        given = json.loads(condition)
        given["environment"] = ()
        {"encode": _encode, "decode": _decode}[verb](arguments.folder, arguments.model, Condition(**given), Path(file))
        return 0
    return _all(arguments.folder, arguments.model, conditions(arguments.device))


def _all(folder: Path, model: str, ways: list[Condition]) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "payloads.json"
        file.write_text("{}")
        for way in ways:
            _spawn("encode", folder, model, way, file)
        payloads = json.loads(file.read_text())
        written = sum(len(item["by"]) for item in payloads.values())
        print(f"{written} payloads by {len(ways)} ways to encode, {len(payloads)} different ones, read in {len(ways)} ways:")
        desyncs = 0
        for way in ways:
            _spawn("decode", folder, model, way, file)
            wrong = json.loads(file.with_suffix(".wrong").read_text())
            print(f"{wrong:6d} desyncs  {way}", flush=True)
            desyncs += wrong
    print(f"{desyncs} desyncs in {written * len(ways)} pairs of an encoding and a decoding")
    return int(desyncs > 0)


def _spawn(verb: str, folder: Path, model: str, way: Condition, file: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": str(way.threads), **dict(way.environment)}
    command = [sys.executable, "-m", "benchmarks.exactness", str(folder), "-m", model, "--worker", verb, json.dumps(asdict(way)), str(file)]
    subprocess.run(command, env=environment, check=True)


def _model(name: str, way: Condition):  # type: ignore[no-untyped-def]
    import torch

    from tokodec.files import Machine

    torch.set_num_threads(way.threads)
    codec = Machine(device=way.device, numerics=way.numerics).codec(name)
    return codec.to(memory_format=torch.channels_last if way.channels_last else torch.contiguous_format)


def _batches(folder: Path, size: int) -> Iterator[list[tuple[str, object]]]:
    """Pictures of one size together, at most ``size`` at a time."""
    from tokodec.media.read import read_picture

    by_shape: dict[tuple[int, ...], list[tuple[str, object]]] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")):
        rgb = read_picture(path).rgb
        by_shape.setdefault(rgb.shape, []).append((path.name, rgb))
    for pictures in by_shape.values():
        for start in range(0, len(pictures), size):
            yield pictures[start : start + size]


def _encode(folder: Path, name: str, way: Condition, file: Path) -> None:
    import torch

    from tokodec.catalogue import model_info
    from tokodec.media.pixels import to_unit

    codec, payloads = _model(name, way), json.loads(file.read_text())
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    qualities = QUALITIES if model_info(codec.name).variable_rate else (None,)
    with torch.inference_mode():
        for pictures in _batches(folder, way.batch):
            x = torch.cat([to_unit(rgb) for _, rgb in pictures]).to(way.device).contiguous(memory_format=layout)  # type: ignore[arg-type]
            for quality in qualities:
                symbols = codec.symbols(x, quality)
                for data, crc in zip(codec.write(symbols), symbols.crc32(), strict=True):
                    payloads.setdefault(data.hex(), {"crc": crc, "size": symbols.size, "by": []})["by"].append(str(way))
    file.write_text(json.dumps(payloads))


def _decode(_folder: Path, name: str, way: Condition, file: Path) -> None:
    import torch

    from tokodec.errors import CorruptFile

    codec, wrong = _model(name, way), 0
    with torch.inference_mode():
        for data, item in json.loads(file.read_text()).items():
            try:
                right = codec.read([bytes.fromhex(data)], tuple(item["size"])).crc32() == [item["crc"]]
            except CorruptFile:
                right = False
            wrong += 0 if right else len(item["by"])
    file.with_suffix(".wrong").write_text(str(wrong))


if __name__ == "__main__":
    sys.exit(main())
