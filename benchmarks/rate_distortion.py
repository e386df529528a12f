"""Rate-distortion curves of tokodec beside JPEG, WebP and AVIF on a folder of pictures.

    python -m benchmarks.rate_distortion FOLDER -o OUT [-m MODEL] [--jobs 2]

Whole file bytes; PSNR over all samples of the decoded 8-bit RGB picture; a curve is the mean bpp and the mean PSNR over the
pictures at equal setting; BD-rate against JPEG (4:2:0, optimised) between 27 and 37 dB, with the 95 % interval of 1000
resamplings of the pictures. Writes OUT.json (every picture and point), OUT.md (the table) and OUT.svg (the curves).
"""

import argparse
import io
import json
import platform
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from PIL import Image, features

from tokodec import __version__, compress, decompress
from tokodec.errors import InputError
from tokodec.metrics.bd_rate import Curve, bd_rate
from tokodec.metrics.psnr import psnr

Code = Callable[[Image.Image, float], bytes]
QUALITIES = tuple(i / 12 for i in range(13))


def _pillow(image: Image.Image, setting: float, *, kind: str, options: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=int(setting), **options)
    return buffer.getvalue()


def _tokodec(image: Image.Image, setting: float, *, model: str) -> bytes:
    torch.set_num_threads(1)
    return compress(image, model=model, quality=setting)


def codecs(model: str) -> dict[str, tuple[Code, tuple[float, ...]]]:
    """Every codec with its settings, JPEG first: the anchor."""
    jpeg = partial(_pillow, kind="JPEG", options={"optimize": True, "subsampling": "4:2:0"})
    webp = partial(_pillow, kind="WEBP", options={"method": 6})
    avif = partial(_pillow, kind="AVIF", options={"subsampling": "4:4:4", "speed": 6, "max_threads": 1})
    return {
        "JPEG": (jpeg, (1, 3, 5, 8, 12, 18, 25, 35, 50, 65, 75, 85, 90, 95)),
        "WebP": (webp, (0, 5, 10, 20, 30, 45, 60, 75, 85, 92, 97)),
        "AVIF": (avif, (1, 5, 10, 15, 22, 30, 40, 50, 60, 70, 80, 90)),
        "tokodec": (partial(_tokodec, model=model), QUALITIES),
    }


@cache
def _original(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def measure(model: str, name: str, setting: float, path: Path) -> dict[str, Any]:
    """One picture by one codec at one setting."""
    image = _original(path)
    data = codecs(model)[name][0](image, setting)
    decoded = decompress(data) if name == "tokodec" else Image.open(io.BytesIO(data)).convert("RGB")
    bpp = 8 * len(data) / (image.width * image.height)
    return {
        "codec": name,
        "setting": setting,
        "picture": path.name,
        "bytes": len(data),
        "bpp": bpp,
        "psnr": psnr(np.asarray(image), np.asarray(decoded)),
    }


def table(rows: list[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """bpp and PSNR of a codec, (settings, pictures)."""
    own = [row for row in rows if row["codec"] == name]
    settings, pictures = (sorted({row[key] for row in own}) for key in ("setting", "picture"))
    by = {(row["setting"], row["picture"]): row for row in own}
    return tuple(np.array([[by[s, p][key] for p in pictures] for s in settings]) for key in ("bpp", "psnr"))  # type: ignore[return-value]


def curve(values: tuple[np.ndarray, np.ndarray], chosen: np.ndarray) -> Curve:
    """Means over the chosen pictures."""
    bpp, quality = (v[:, chosen].mean(1) for v in values)
    return Curve(bpp=tuple(bpp.tolist()), psnr=tuple(quality.tolist()))


def report(rows: list[dict[str, Any]], names: list[str], count: int) -> str:
    """A Markdown table of BD-rates with intervals, paired over pictures, and rates at four PSNRs."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, count, count) for _ in range(1000)]
    values = {name: table(rows, name) for name in names}
    everything = np.arange(count)
    lines = ["| codec | BD-rate against JPEG | 95 % | bpp at 28 dB | 31 dB | 34 dB | 37 dB |", "|---|---|---|---|---|---|---|"]
    for name in names:
        whole = curve(values[name], everything)
        rate = _bd(curve(values["JPEG"], everything), whole)
        resampled = [_bd(curve(values["JPEG"], draw), curve(values[name], draw)) for draw in draws] if name != "JPEG" else [0.0]
        low, high = np.percentile(resampled, [2.5, 97.5])
        at = np.exp(np.interp([28, 31, 34, 37], whole.psnr, np.log(whole.bpp), left=np.nan, right=np.nan))
        cells = " | ".join("-" if np.isnan(v) else f"{v:.3f}" for v in at)
        lines.append(f"| {name} | {rate:+.1f} % | {low:+.1f} .. {high:+.1f} | {cells} |")
    return "\n".join(lines) + "\n"


def _bd(anchor: Curve, test: Curve) -> float:
    try:
        return bd_rate(anchor, test)
    except InputError:
        return float("nan")


def plot(rows: list[dict[str, Any]], names: list[str], count: int, path: Path, title: str) -> None:
    """The curves, each named at its end."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    for name, colour in zip(names, ("#8a8a8a", "#3b7dd8", "#d8853b", "#c2185b"), strict=True):
        c = curve(table(rows, name), np.arange(count))
        axes.plot(c.bpp, c.psnr, marker="o", markersize=3, color=colour, linewidth=2.4 if name == "tokodec" else 1.5, label=name)
    axes.set(xlim=(0, 2.2), ylim=(24, 40), xlabel="bits per pixel (whole files)", ylabel="PSNR, dB (RGB)", title=title)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure everything, then write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("-m", "--model", default="hyperprior_vr")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--limit", type=int, help="only the first so many pictures")
    parser.add_argument("--title", default="")
    a = parser.parse_args()
    paths = sorted(p for p in a.folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg"))[: a.limit]
    names = list(codecs(a.model))
    todo = [(a.model, name, setting, path) for path in paths for name in names for setting in codecs(a.model)[name][1]]
    with ProcessPoolExecutor(a.jobs) as pool:
        rows = list(pool.map(measure, *zip(*todo, strict=True), chunksize=len(todo) // len(paths)))
    versions = {"tokodec": __version__, "torch": torch.__version__, "pillow": PIL.__version__, "numpy": np.__version__}
    versions |= {name: str(features.version(name)) for name in ("libjpeg_turbo", "webp", "avif")}
    meta = {
        "folder": a.folder.name,
        "model": a.model,
        "pictures": len(paths),
        "versions": versions,
        "machine": platform.machine(),
    }
    a.output.parent.mkdir(parents=True, exist_ok=True)
    a.output.with_suffix(".json").write_text(json.dumps({"meta": meta, "rows": rows}) + "\n", encoding="utf-8")
    text = report(rows, names, len(paths))
    a.output.with_suffix(".md").write_text(text, encoding="utf-8")
    plot(rows, names, len(paths), a.output.with_suffix(".svg"), a.title or f"{len(paths)} pictures of {a.folder.name}")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
