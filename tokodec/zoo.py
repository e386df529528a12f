"""The zoo: every model that ``create`` knows.

``python -m tokodec.zoo`` writes what listing reads: ``tokodec/zoo.json`` and the tables in the README files. Run it after a
change to a ``MODELS`` table or to ``pretrained/``; a test fails until it is done.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from tokodec import codecs, listing, tokenizers
from tokodec.catalogue import ModelInfo, folder, newest, room
from tokodec.entry import Entry, merge

MODELS: Mapping[str, Entry] = merge(codecs.MODELS, tokenizers.MODELS)


def create(name: str, overrides: Mapping[str, Any] | None = None) -> nn.Module:
    """The model of that name with freshly initialised weights.

    ``overrides`` replace fields of its configuration. A name without version is the newest one. Raises ModelNotFound,
    and InputError for a setting that the model does not have.
    """
    return MODELS[newest(name, MODELS)].create(overrides or {})


def rows() -> list[ModelInfo]:
    """What listing says of every model, by name. Builds each of them to count its parameters."""
    return [_row(name, MODELS[name]) for name in sorted(MODELS)]


def _row(name: str, entry: Entry) -> ModelInfo:
    weights = folder("pretrained") / entry.weights.file if entry.weights else None
    size = weights.stat().st_size if weights and weights.is_file() else None
    terms = entry.weights or entry.origin
    return ModelInfo(
        name=name,
        kind=entry.kind,
        media=entry.media,
        family=entry.family,
        pretrained=size is not None and not name.endswith("_test"),
        variable_rate=entry.variable_rate,
        variable_length=entry.variable_length,
        licence=terms.licence if terms else "Apache-2.0",
        origin=_origin(entry),
        params=sum(p.numel() for p in entry.create({}).parameters()),
        bytes=size,
    )


def _origin(entry: Entry) -> str | None:
    if entry.origin is None:
        return None
    return f"hub:{entry.origin.repo}" if entry.origin.repo else "elsewhere"


def generated(root: Path, models: Sequence[ModelInfo]) -> dict[Path, str]:
    """The text of every generated file of the checkout at ``root``."""
    tables = {root / "README.md": listing.table(models, cards="")}
    for name in ("codecs", "tokenizers"):
        tables[root / name / "README.md"] = listing.table([m for m in models if room(m.kind) == name], cards="../")
    filled = {path: listing.fill(path.read_text(encoding="utf-8"), table) for path, table in tables.items()}
    return {root / "tokodec" / "zoo.json": listing.to_json(models), **filled}


def main() -> None:
    """Write all generated files of the checkout that this module lies in."""
    for path, text in generated(Path(__file__).parent.parent, rows()).items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
