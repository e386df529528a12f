"""Files of the container for tests: one written by hand, a strategy for all that are allowed, and mutations."""

import random

from hypothesis import strategies as st

from tokodec.entropy.container import Extension, Header, Segment, TkdFile

GOLDEN_FILE = TkdFile(
    header=Header(
        model="example.v1",
        fingerprint=bytes.fromhex("0123456789abcdef"),
        width=300,
        height=2,
        gray=True,
        symbol_crc=0xDEADBEEF,
        extensions=(Extension(tag=200, data=b"hi"),),
    ),
    segments=(
        Segment(kind=ord("i"), data=b"icc"),
        Segment(kind=ord("P"), data=b"\x20\x03abcd"),
        Segment(kind=ord("P"), data=b"efgh"),
        Segment(kind=ord("z"), data=b""),
    ),
)

GOLDEN_LISTING = """
d4 54 4b 44 0d 0a 1a 0a         magic
00 00                           version 0.0
03                              flags: experimental, gray
1e                              the header body has 30 bytes
00 71 16 53                     CRC-32 of the 12 bytes above and of the header body
0a                              the model id has 10 bytes
65 78 61 6d 70 6c 65 2e 76 31   example.v1
01 23 45 67 89 ab cd ef         fingerprint
ac 02                           width 300
02                              height 2
ef be ad de                     CRC-32 of the symbols: 0xdeadbeef
c8 02 68 69                     field 200 has 2 bytes: hi
69 03                           segment i (ICC profile) of 3 bytes
bc 9f 07 ba                     CRC-32 of 69 69 63 63
69 63 63                        icc
50 06                           segment P (payload) of 6 bytes
22 5b 73 32                     CRC-32 of 50 20 03 61 62 63 64
20 03 61 62 63 64               quality level 800, then abcd
50 04                           segment P of 4 bytes
7f 9c 46 d7                     CRC-32 of 50 65 66 67 68
65 66 67 68                     efgh
7a 00                           segment z of 0 bytes: optional and unknown
af 77 d2 62                     CRC-32 of 7a
00                              end of the segments
2f cb 37 2b                     CRC-32 of all 100 bytes above
"""


def from_listing(listing: str) -> bytes:
    """Bytes of a listing: pairs of hex digits, then at least three spaces and a remark."""
    return b"".join(bytes.fromhex(line.split("   ")[0]) for line in listing.splitlines())


_repeatable = st.sampled_from("Pabcdefghjklmnopqrstuvwxyz")
_data = st.binary(max_size=300)
_sides = st.integers(1, 2**20) | st.integers(1, 300)


@st.composite
def tkd_files(draw: st.DrawFn) -> TkdFile:
    """Any file that the format allows, with at most a dozen segments."""
    tags = sorted(draw(st.sets(st.integers(0, 255), max_size=3)))
    header = Header(
        model=draw(st.text("abcdefghijklmnopqrstuvwxyz0123456789_.:/@-", min_size=1, max_size=64)),
        fingerprint=draw(st.binary(min_size=8, max_size=8)),
        width=draw(_sides),
        height=draw(_sides),
        gray=draw(st.booleans()),
        symbol_crc=draw(st.integers(0, 2**32 - 1)),
        version=(0, draw(st.integers(0, 255))),
        extensions=tuple(Extension(tag=tag, data=draw(_data)) for tag in tags),
    )
    kinds = [*draw(st.lists(_repeatable, max_size=9)), "P", *draw(st.sampled_from(("", "A", "i", "Ai")))]
    order = draw(st.permutations(kinds))
    if draw(st.booleans()):  # in layers: a plan, alpha and profile come first
        order = [*draw(st.permutations(["L", *(k for k in order if k in "Ai")])), *(k for k in order if k not in "Ai")]
    return TkdFile(header=header, segments=tuple(Segment(kind=ord(kind), data=draw(_data)) for kind in order))


def mutated(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one to three flips, cuts, insertions, repetitions or written bytes."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, to = sorted(rng.choices(range(len(out) + 1), k=2))
        change = rng.randrange(5)
        if change == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif change == 1 and at < len(out):
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, ord("P"), ord("A"), ord("z")))
        elif change == 2:
            out[at : min(to, at + 8)] = b""
        elif change == 3:
            out[at:at] = rng.randbytes(rng.randint(1, 8))
        else:
            out[at:at] = out[at:to]
    return bytes(out)
