"""A reader of .tkd files written from docs/format.md alone: Python's standard library, no tokodec, no torch.

python reference_reader.py FILE                        checks the file, prints its header and its segments
python reference_reader.py FILE --extract N --to OUT   also writes the data of segment N (1, 2, ...) to OUT
"""

import argparse
import re
import sys
from pathlib import Path
from zlib import crc32

MAGIC = bytes((0xD4, 0x54, 0x4B, 0x44, 0x0D, 0x0A, 0x1A, 0x0A))
NAMES = {"P": "payload", "T": "tile plan", "L": "layer plan", "A": "alpha", "i": "ICC profile", "t": "text"}


class Damaged(Exception):
    """Not a whole file of version 0."""


class Reader:
    """Section 2 of the format: bytes, 32-bit numbers and varints, never past the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise Damaged(f"ends too early: {count} bytes wanted at {self.at}, {len(self.data) - self.at} there")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def varint(self) -> int:
        value = 0
        for place in range(5):
            byte = self.number(1)
            value += (byte & 127) << 7 * place
            if byte < 128:
                break
        else:
            raise Damaged("a varint has more than 5 bytes")
        if value >= 2**32 or (place and not byte):
            raise Damaged("a varint is too large or not in its shortest form")
        return value


def check(good: bool, problem: str) -> None:
    if not good:
        raise Damaged(problem)


def read_header(reader: Reader) -> dict[str, object]:
    """Sections 3 and 4."""
    check(reader.take(8) == MAGIC, "not a .tkd file, or damaged by a transfer in text mode")
    major, minor, flags = reader.number(1), reader.number(1), reader.number(1)
    check(major == 0, f"version {major}.{minor} is not known")
    length = reader.varint()
    check(length <= 65_535, "the header is too long")
    start = reader.data[: reader.at]
    crc, body = reader.number(4), Reader(reader.take(length))
    check(crc32(start + body.data) == crc, "checksum of the header")
    check(flags in (1, 3), "unknown flags")
    header: dict[str, object] = {"version": f"{major}.{minor} (experimental)", "gray": flags == 3}
    header["model"] = model = body.take(body.number(1)).decode("latin-1")
    check(re.fullmatch("[a-z0-9_.:/@-]{1,64}", model) is not None, "the model id")
    header["fingerprint"] = body.take(8).hex()
    header["width"], header["height"] = width, height = body.varint(), body.varint()
    check(1 <= width <= 2**20 and 1 <= height <= 2**20, "width or height")
    header["symbol_crc"] = f"{body.number(4):08x}"
    last = -1
    while body.at < length:
        tag, data = body.number(1), body.take(body.varint())
        check(tag > last, "tags of fields must ascend")
        last, header[f"field {tag}"] = tag, data.hex()
    return header


def is_cut(reader: Reader, segments: list[tuple[str, bytes]]) -> bool:
    """Section 6: whether the bytes end here, behind a layer."""
    return reader.at == len(reader.data) and segments[-1:] != [] and segments[-1][0] == "P" and "L" in dict(segments)


def has_end(data: bytes) -> bool:
    return data[-5:-4] == b"\0" and crc32(data[:-4]) == int.from_bytes(data[-4:], "little")


def read_layers(data: bytes, segments: list[tuple[str, bytes]], symbol_crc: object) -> list[int]:
    """Section 7, the layer plan: how many ids there are after each layer of the whole file; nothing without a plan."""
    if "L" not in dict(segments):
        return []
    plan, counts, crc = Reader(dict(segments)["L"]), [0], 0
    while plan.at < len(plan.data):
        counts.append(plan.varint())
        crc = plan.number(4)
        check(counts[-1] > counts[-2], "layers must grow")
    check(len(counts) > 1 and f"{crc:08x}" == symbol_crc, "the plan of layers is not that of the header")
    there = [kind for kind, _ in segments].count("P")
    check(there == len(counts) - 1 or (there < len(counts) - 1 and not has_end(data)), "other layers than the plan has")
    return counts[1:]


def read_segments(reader: Reader) -> list[tuple[str, bytes]]:
    """Sections 5 and 6."""
    segments: list[tuple[str, bytes]] = []
    while not (cut := is_cut(reader, segments)) and (kind := reader.take(1)) != b"\0":
        check(kind.isalpha(), "a kind that is not a letter")
        length, crc = reader.varint(), reader.number(4)
        data = reader.take(length)
        check(crc32(kind + data) == crc, f"checksum of segment {len(segments) + 1}")
        segments.append((kind.decode(), data))
        check(len(segments) <= 65_536, "too many segments")
    kinds = [kind for kind, _ in segments]
    check(all(kind in NAMES or kind.islower() for kind in kinds), "a critical segment of unknown kind")
    check("P" in kinds and all(kinds.count(kind) <= 1 for kind in "AiTL"), "payload missing, or A, i, T or L twice")
    behind = kinds[kinds.index("P") :]
    check("T" not in behind and "L" not in behind, "a plan behind a payload")
    check("L" not in kinds or ("T" not in kinds and not {"A", "i"} & {*behind}), "a layer plan beside tiles, or A or i behind a layer")
    if cut:
        return segments
    crc = crc32(reader.data[: reader.at])
    check(reader.number(4) == crc, "checksum of the whole file")
    check(reader.at == len(reader.data), "bytes after the end")
    return segments


def main() -> int:
    parser = argparse.ArgumentParser(description="check and list a .tkd file")
    parser.add_argument("file", type=Path)
    parser.add_argument("--extract", type=int, metavar="N", help="number of a segment, from 1")
    parser.add_argument("--to", type=Path, metavar="OUT", default=Path("segment.bin"))
    args = parser.parse_args()
    try:
        reader = Reader(args.file.read_bytes())
        header, segments = read_header(reader), read_segments(reader)
        layers = read_layers(reader.data, segments, header["symbol_crc"])
    except Damaged as problem:
        print(f"{args.file}: damaged: {problem}", file=sys.stderr)
        return 7
    for name, value in header.items():
        print(f"{name}: {value}")
    if layers:
        print(f"layers: {len(layers)}, ids after each: {' '.join(map(str, layers))}")
    for number, (kind, data) in enumerate(segments, 1):
        print(f"segment {number}: {kind} {NAMES.get(kind, 'unknown')}, {len(data)} bytes")
    if args.extract in range(1, len(segments) + 1):
        args.to.write_bytes(segments[args.extract - 1][1])
    elif args.extract is not None:
        parser.error(f"there is no segment {args.extract}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
