"""Frozen dataclasses filled from TOML; a key nobody knows is an error."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from tokodec.errors import InputError

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """What a file says. Raises InputError for what is not there or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"there is no file {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from None


def fill(kind: type[T], raw: Any, where: str) -> T:
    """A frozen dataclass from parsed TOML, nested ones too. Raises InputError naming what is unknown, missing or mistyped."""
    if not isinstance(raw, Mapping):
        raise InputError(f"{where} must be a table, not {raw!r}")
    hints = get_type_hints(kind)
    names = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(raw) - names)
    if unknown:
        raise InputError(f"{where} has no setting {', '.join(unknown)}; it has {', '.join(sorted(names))}")
    try:
        return kind(**{name: _value(hints[name], value, f"{where}: {name}") for name, value in raw.items()})
    except TypeError as error:
        raise InputError(f"{where}: {str(error).removeprefix(kind.__name__ + '.__init__() ')}") from None


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType and NoneType in arguments:  # TOML has no null: what is there is of the other type
        return _value(next(a for a in arguments if a is not NoneType), value, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return fill(hint, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], item, where) for item in value)
    if origin is Mapping and isinstance(value, Mapping):
        return {key: _value(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Any or (isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool))):
        return value
    raise InputError(f"{where} = {value!r} is not of type {getattr(hint, '__name__', hint)}")
