"""The results files of CompressAI: one curve a file, lists of means over a set of pictures, a rate each.

    {"name": ..., "description": ..., "results": {"bpp": [...], "psnr-rgb": [...], "ms-ssim-rgb": [...], "encoding_time": [...], ...}}

Nothing in them says which pictures, cut how: a curve that comes in has no protocol and is shown as such. Source: ``results/`` and
``compressai.utils.eval_model`` of InterDigitalInc/CompressAI.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokodec.errors import CorruptFile, NoInput
from tokodec.eval.exchange.name import file_name
from tokodec.eval.results import Results

_OURS = {
    "bpp": "bpp",
    "psnr": "psnr",
    "psnr-rgb": "psnr",
    "ms-ssim": "ms_ssim",
    "ms-ssim-rgb": "ms_ssim",
    "encoding_time": "encode_seconds",
    "decoding_time": "decode_seconds",
}
_THEIRS = {"psnr": "psnr-rgb", "ms_ssim": "ms-ssim-rgb", "encode_seconds": "encoding_time", "decode_seconds": "decoding_time"}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Means of someone else's. ``points``: by our names: bpp, psnr in dB, ms_ssim, encode_seconds ..."""

    name: str
    description: str
    points: Sequence[Mapping[str, float]]


def read_curve(path: Path) -> Curve:
    """Raises NoInput, and CorruptFile for what is no such file."""
    if not path.is_file():
        raise NoInput(f"{path}: no such file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        results: Mapping[str, Sequence[float]] = content["results"]
        known = {_OURS[key]: [float(v) for v in values] for key, values in results.items() if key in _OURS}
        points = [dict(zip(known, values, strict=True)) for values in zip(*known.values(), strict=True)]
        if not points or "bpp" not in known or len(known) < 2:
            raise ValueError("it needs bpp and a measure")
        return Curve(name=str(content.get("name", path.stem)), description=str(content.get("description", "")), points=points)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"{path}: is no results file of CompressAI ({type(error).__name__}: {error})") from None


def to_compressai(results: Results) -> dict[str, bytes]:
    """Files by name: a curve for each contestant, from small files to large ones."""
    return {f"{file_name(c['name'])}.json": _curve(results, c) for c in results.contestants}


def _curve(results: Results, contestant: Mapping[str, Any]) -> bytes:
    own = [p["values"] for p in results.points if p["contestant"] == contestant["name"]]
    own.sort(key=lambda values: values["bpp"])
    keys = [key for key in (c.key for c in results.columns) if all(values.get(key) is not None for values in own)]
    lists = {_THEIRS.get(key, key.replace("_", "-")): [values[key] for values in own] for key in keys}
    about = f"{results.content['title']}; whole files; {contestant['identity']}"
    return (json.dumps({"name": contestant["name"], "description": about, "results": lists}, indent=2) + "\n").encode()
