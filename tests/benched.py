"""A small benchmark that nobody ran: what its run would have left, for the tests of its page."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from tokodec.eval.kept import Coded, Kept
from tokodec.eval.results import Results, read_results

SETTINGS: dict[str, list[float | None]] = {"good": [0.0, 0.5, 1.0], "poor<b>": [10, 50, 90], "fixed": [None]}
PICTURES = ("ape.png", "bee.png", "cat.png", "dog.png")
WIDTH, HEIGHT = 96, 64


def leave(folder: Path, *, failing: bool = True) -> Results:
    """results.json and the decoded pictures; ``failing``: one picture of one contestant has none."""
    protocol: dict[str, Any] = {
        "name": "four-v1-native",
        "hash": "0123456789abcdef",
        "suite": "four",
        "version": 1,
        "crop": "native",
        "pictures": {name: f"{i:064}" for i, name in enumerate(PICTURES)},
        "rounding": "half to even",
        "rate": "whole files",
        "measures": {
            "psnr": {"unit": "dB", "better": "higher", "definition": "of RGB"},
            "lpips": {"unit": "", "better": "lower", "definition": "of <networks>"},
        },
    }
    contestants = [
        {"name": name, "identity": f"{i:016}", "settings": own, "kind": "model"} for i, (name, own) in enumerate(SETTINGS.items())
    ]
    rows = [_row(c, i, setting, picture, failing) for c in contestants for i, setting in enumerate(c["settings"]) for picture in PICTURES]
    bd = {"measure": "psnr", "figure": "BD-rate", "interpolation": "pchip", "unit": "%", "over_unit": "dB"}
    content = {
        "anchor": "good",
        "title": f"four-v1-native (0123456789abcdef): 4 pictures, {len(rows) - failing} of {len(rows)} scored",
        "command": "tokodec bench run four/ -o out --baselines '<jpeg>'",
        "protocol": protocol,
        "environment": {"python": "3", "machine": "abacus"},
        "contestants": contestants,
        "points": [_point(rows, name, setting) for name, own in SETTINGS.items() for setting in own],
        "bd_rates": [
            {"contestant": "poor<b>", "value": 31.4, "low": 20.0, "high": 40.0, "over": [28.0, 36.0], "share": 0.9, "reason": "", **bd},
            {"contestant": "fixed", "value": None, "low": None, "high": None, "over": None, "share": None, "reason": "one rate only", **bd},
        ],
        "paired": [
            {"measure": "psnr", "one": "good", "other": "poor<b>", "pictures": 4, "difference": 1.5, "low": 1.0, "high": 2.0}
            | {"p": 0.125, "p_holm": 0.25, "wins": 1.0}
        ],
        "rows": rows,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(content))
    results = read_results(folder)
    _keep(results, Kept(folder / "cache"))
    return results


def _row(contestant: dict[str, Any], step: int, setting: float | None, picture: str, failing: bool) -> dict[str, Any]:
    row = {"contestant": contestant["name"], "identity": contestant["identity"], "setting": setting, "picture": picture, "error": None}
    if failing and (contestant["name"], step, picture) == ("good", 1, "dog.png"):
        return row | {"error": "OutOfMemory: <no> memory"}
    at, place = list(SETTINGS).index(contestant["name"]), PICTURES.index(picture)
    size = 100 + 300 * step + 40 * at
    return row | {
        "width": WIDTH,
        "height": HEIGHT,
        "bytes": size,
        "bpp": 8 * size / WIDTH / HEIGHT,
        "psnr": 26 + 4 * step - at - 0.5 * place,
        "lpips": 0.4 - 0.1 * step + 0.02 * at if picture != "ape.png" else None,
        "encode_seconds": 0.5,
        "decode_seconds": 0.25,
        "peak_bytes": None,
        "detail": {"text": [{"box": [60, 40, 90, 60], "ned": 0.25 * step, "text": "<word>", "read": "w0rd"}]}
        if picture == "cat.png"
        else {},
    }


def _point(rows: list[dict[str, Any]], contestant: str, setting: float | None) -> dict[str, Any]:
    own = [r for r in rows if (r["contestant"], r["setting"]) == (contestant, setting) and r["error"] is None]
    keys = ("bytes", "bpp", "psnr", "encode_seconds", "decode_seconds")
    values: dict[str, float | None] = {key: float(np.mean([r[key] for r in own])) for key in keys}
    values["lpips"] = float(np.mean([r["lpips"] for r in own if r["lpips"] is not None]))
    return {"contestant": contestant, "setting": setting, "pictures": len(own), "values": values | {"peak_mb": None}}


def _keep(results: Results, store: Kept) -> None:
    for i, picture in enumerate(PICTURES):
        y, x = np.arange(HEIGHT)[:, None, None], np.arange(WIDTH)[:, None]
        pixels = (128 + 100 * np.sin(x / 7 + i + np.arange(3)) * np.cos(y / 5)).astype(np.uint8)
        store.keep(results.original(picture), Coded(pixels=pixels, figures={}, data=b""))
        for c in results.contestants:
            for setting in c["settings"]:
                blurred = Image.fromarray(pixels).filter(ImageFilter.BoxBlur(3 - list(SETTINGS[c["name"]]).index(setting)))
                store.keep(results.key(c, setting, picture), Coded(pixels=np.asarray(blurred), figures={}, data=b""))
