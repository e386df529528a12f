"""tokodec doctor: what is installed here, and what would fail."""

import json as json_
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Annotated, Any

from typer import Option

import tokodec
from tokodec.cli import talk
from tokodec.cli.models import faults
from tokodec.errors import CorruptFile

_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "constriction", "safetensors", "huggingface-hub", "typer", "rich")
_EXTRAS = {"heif": "pillow_heif", "jxl": "pillow_jxl", "train": "webdataset", "video": "av"}


def doctor(
    *,
    numerics: Annotated[bool, Option("--numerics", help="Also code a small picture in several ways and compare the symbols.")] = False,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Print what is installed here.

    Versions, processor, optional formats and the state of the weights. Exit code 7 when weights are damaged.
    """
    weights = {file: fault or "ok" for file, fault in faults()}
    report: dict[str, Any] = {
        "tokodec": tokodec.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        **{name: _version(name) for name in _PACKAGES},
        **_torch(),
        "extras": {name: "installed" if find_spec(module) else f'pip install "tokodec[{name}]"' for name, module in _EXTRAS.items()},
        "weights": weights,
        "offline": bool(os.environ.get("HF_HUB_OFFLINE")),
    }
    if numerics:
        report["numerics"] = _numerics()
    if json:
        talk.put(json_.dumps(report))
    else:
        _show(report)
    if any(fault != "ok" for fault in weights.values()):
        raise CorruptFile("weights are damaged; install tokodec again")
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _torch() -> dict[str, Any]:
    try:
        import torch
    except Exception as error:  # noqa: BLE001 - a broken installation is what this verb is for
        return {"torch works": f"no: {talk.one_line(str(error))}"}
    return {
        "processor": torch.backends.cpu.get_cpu_capability(),
        "bfloat16 instructions": bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),  # noqa: SLF001 - there is no public way
        "threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else [],
    }


def _numerics() -> dict[str, str]:
    """Symbols of one picture, written under one setting and read under others, for each codec whose weights are here."""
    from tokodec.cli.probe import probe

    return probe()


def _show(report: Mapping[str, Any], indent: str = "") -> None:
    for key, value in report.items():
        if isinstance(value, Mapping):
            talk.put(f"{indent}{key}:")
            _show(value, indent + "  ")
        else:
            talk.put(f"{indent}{key:{23 - len(indent)}} {value}")
