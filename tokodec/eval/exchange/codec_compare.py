"""The batches of codec-compare, which matches pictures of two codecs at equal quality: a batch a contestant, a row a picture and setting.

Fields that it knows by name get its names, the others ours. Its viewer finds pictures from where its own page lies, so the folder of
the batches is to stand beside that.
Source: README and src/entry.ts of webmproject/codec-compare.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tokodec.eval.exchange.name import file_name
from tokodec.eval.kept import Key
from tokodec.eval.results import Column, Results

_THEIRS = {"ms_ssim": "msssim", "encode_seconds": "encoding_time", "decode_seconds": "decoding_time"}
_LIST = "batches.json"


def to_codec_compare(results: Results, time: str, folder: str) -> dict[str, bytes]:
    """Files by name: the batches, and ``batches.json``, which is to be loaded.

    ``time``: of the results, ISO 8601. ``folder``: the name of the one that they will lie in.
    """
    names = {c["name"]: f"{file_name(c['name'])}.json" for c in results.contestants}
    found = {names[c["name"]]: _batch(results, c, time, folder) for c in results.contestants}
    return found | {_LIST: (json.dumps([[name] for name in names.values()], indent=1) + "\n").encode()}


def pictures(results: Results) -> dict[str, Key]:
    """Under which name each decoded picture and original has to stand beside the batches for its viewer, and what it is."""
    found = {_original(name): results.original(name) for name in results.protocol["pictures"]}
    for c in results.contestants:
        found |= {_decoded(c, s, p): results.key(c, s, p) for s in c["settings"] for p in results.protocol["pictures"]}
    return found


def _batch(results: Results, contestant: Mapping[str, Any], time: str, folder: str) -> bytes:
    constants = {
        "name": ("Name of this batch", contestant["name"]),
        "codec": ("Who made the files", contestant["name"]),
        "version": ("What decides the files: settings and versions, or a fingerprint", _version(contestant)),
        "time": ("When the results were written", time),
        "source_data_set": ("Protocol", f"{results.protocol['name']} ({results.protocol['hash']})"),
        "original_path": ("The picture as it was coded", f"{folder}/pictures/${{original_name}}.png"),
        "decoded_path": ("The picture that came out", f"{folder}/${{decoded_name}}"),
        "encoding_cmd": ("The command of the whole benchmark", results.content["command"]),
    }
    fields: dict[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {
        "original_name": ("Picture", lambda row: row["picture"]),
        "decoded_name": ("Decoded picture", lambda row: _decoded(contestant, row["setting"], row["picture"])),
        "width": ("Columns of pixels", lambda row: row["width"]),
        "height": ("Rows of pixels", lambda row: row["height"]),
        "quality": ("Setting of the encoder, 0 where there is only one", lambda row: row["setting"] or 0),
        "encoded_size": ("Bytes of the whole file", lambda row: row["bytes"]),
    }
    fields |= {_THEIRS.get(c.key, c.key): (_about(c), lambda row, key=c.key: row[key]) for c in _columns(results)}
    rows = [r for r in results.rows if r["contestant"] == contestant["name"] and r["error"] is None]
    content = {
        "constant_descriptions": [{name: about} for name, (about, _) in constants.items()],
        "constant_values": [value for _, value in constants.values()],
        "field_descriptions": [{name: about} for name, (about, _) in fields.items()],
        "field_values": [[of(row) for _, of in fields.values()] for row in rows],
    }
    return (json.dumps(content) + "\n").encode()


def _columns(results: Results) -> list[Column]:
    """What every row that did not fail has as a number: nothing there would be read as 0."""
    rows = [r for r in results.rows if r["error"] is None]
    return [c for c in results.columns if c.key not in {"bytes", "bpp"} and all(isinstance(r.get(c.key), int | float) for r in rows)]


def _about(column: Column) -> str:
    return f"{column.title}: {column.definition}" if column.definition else column.title


def _version(contestant: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in contestant.items() if key not in {"name", "settings"}}, sort_keys=True)


def _original(picture: str) -> str:
    return f"pictures/{picture}.png"


def _decoded(contestant: Mapping[str, Any], setting: float | None, picture: str) -> str:
    return f"pictures/{file_name(contestant['name'])}/{'one' if setting is None else f'{setting:g}'}/{picture}.png"
