"""results.json, read: what a run left, whatever it measured. Needs no torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokodec.errors import CorruptFile, NoInput
from tokodec.eval.kept import ORIGINAL, Key, cut_of

Row = Mapping[str, Any]

_NAMES = {
    "bpp": "rate", "bytes": "file", "psnr": "PSNR", "ssim": "SSIM", "ms_ssim": "MS-SSIM", "lpips": "LPIPS", "dists": "DISTS",
    "vif": "VIF", "fsim": "FSIM", "gmsd": "GMSD", "haarpsi": "HaarPSI", "ssimulacra2": "SSIMULACRA2", "fid": "FID", "kid": "KID",
    "encode_seconds": "encode", "decode_seconds": "decode", "encode_mpix_s": "encode speed", "decode_mpix_s": "decode speed",
    "peak_mb": "peak memory",
}  # fmt: skip
_UNITS = {"bpp": "bpp", "bytes": "B", "seconds": "s", "mpix_s": "Mpix/s", "mb": "MB", "bits": "bit"}
"""Of what is no measure, by the end of its name."""
_DIGITS = {"bpp": 4, "B": 0, "bit": 0, "s": 3, "Mpix/s": 2, "MB": 0, "dB": 2, "%": 1}
_HIGHER = {"Mpix/s"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A kind of figure. ``digits`` after the point; ``higher``: whether higher is better; ``definition``: of measures."""

    key: str
    name: str
    unit: str
    digits: int
    higher: bool
    definition: str = ""

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def shown(self, value: object) -> str:
        """A value without its unit; ``-`` where there is none."""
        return f"{value:,.{self.digits}f}" if isinstance(value, int | float) else "-" if value is None else str(value)


@dataclass(frozen=True, kw_only=True)
class Results:
    """``content``: the JSON object."""

    content: Mapping[str, Any]

    @property
    def protocol(self) -> Mapping[str, Any]:
        """Name, hash, pictures with their SHA-256, crop rule, measures ..."""
        return self.content["protocol"]

    @property
    def rows(self) -> Sequence[Row]:
        """One a contestant, setting and picture."""
        return self.content["rows"]

    @property
    def contestants(self) -> Sequence[Mapping[str, Any]]:
        """Name, identity, settings ..."""
        return self.content["contestants"]

    @property
    def points(self) -> Sequence[Mapping[str, Any]]:
        """Means: contestant, setting, pictures, values."""
        return self.content["points"]

    @cached_property
    def columns(self) -> list[Column]:
        """Every figure that a point has, the rate first."""
        keys = dict.fromkeys(key for point in self.points for key in point["values"])
        return [_column(key, self.protocol["measures"].get(key)) for key in sorted(keys, key=lambda key: key != "bpp")]

    @cached_property
    def measures(self) -> list[Column]:
        """Those of quality."""
        return [column for column in self.columns if column.key in self.protocol["measures"]]

    @property
    def failed(self) -> list[Row]:
        """Rows that are none."""
        return [row for row in self.rows if row["error"] is not None]

    def key(self, contestant: Mapping[str, Any], setting: float | None, picture: str) -> Key:
        """Under which a decoded picture is kept."""
        return self._key(contestant["identity"], setting, picture)

    def original(self, picture: str) -> Key:
        """Under which a picture is kept as it went in."""
        return self._key(ORIGINAL, None, picture)

    def _key(self, identity: str, setting: float | None, picture: str) -> Key:
        crop = cut_of(self.protocol["crop"], self.protocol.get("frame", "native"))
        return Key(identity=identity, setting=setting, picture=self.protocol["pictures"][picture], crop=crop)


def read_results(folder: Path) -> Results:
    """Of a run into that folder. Raises NoInput where there is none, CorruptFile for another file of that name."""
    path = folder / "results.json"
    if not path.is_file():
        raise NoInput(f"{path}: no such file; tokodec bench run SUITE -o {folder} makes it")
    try:
        results = Results(content=json.loads(path.read_text(encoding="utf-8")))
        _ = results.columns, [(c["name"], c["identity"], c["settings"]) for c in results.contestants], results.failed
        _ = [results.protocol[part] for part in ("name", "hash", "suite", "crop", "pictures", "measures")], results.content["title"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"{path}: is no result of tokodec bench run ({type(error).__name__}: {error})") from None
    return results


def _column(key: str, measure: Mapping[str, Any] | None) -> Column:
    name = _NAMES.get(key, key.replace("_", " "))
    if measure is not None:
        unit = measure.get("unit", "dB" if key == "psnr" else "")  # older results do not say
        higher = measure.get("better", "higher") == "higher"
        return Column(key=key, name=name, unit=unit, digits=_DIGITS.get(unit, 4), higher=higher, definition=measure.get("definition", ""))
    unit = next((unit for end, unit in _UNITS.items() if key == end or key.endswith(f"_{end}")), "")
    return Column(key=key, name=name, unit=unit, digits=_DIGITS.get(unit, 4), higher=unit in _HIGHER)
