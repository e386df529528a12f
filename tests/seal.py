"""Makes the container's checksums right again after a mutation, so that a fuzz test reaches what lies behind them."""

from zlib import crc32

_LENGTH = 11  # magic 8, version 2, flags 1: here stands the length of the header body
_BODY = 16  # length 1, CRC-32 4: here starts a body of less than 128 bytes


def reseal(data: bytes) -> bytes:
    """``data`` with the checksums of its header, of each segment that can be found, and of the whole made right.

    Works on any bytes: it follows the claimed lengths as far as there are bytes. The checksum of the symbols stays.
    """
    out = bytearray(data)
    try:
        at = _reseal_header(out)
        while out[at]:
            at = _reseal_segment(out, at)
    except IndexError:
        pass
    if len(out) >= 4:
        out[-4:] = crc32(out[:-4]).to_bytes(4, "little")
    return bytes(out)


def claim_size(data: bytes, width: int, height: int) -> bytes:
    """A good file that claims other sides, with right checksums. For files whose header body has less than 112 bytes."""
    sides = _BODY + 1 + data[_BODY] + 8
    _, height_at = _varint(data, sides)
    _, end = _varint(data, height_at)
    assert data[_LENGTH] < 0x70, "the length may need another byte"
    claimed = _spell(width) + _spell(height)
    length = data[_LENGTH] + len(claimed) - (end - sides)
    return reseal(data[:_LENGTH] + bytes((length,)) + data[_LENGTH + 1 : sides] + claimed + data[end:])


def _reseal_header(out: bytearray) -> int:
    length, at = _varint(out, _LENGTH)
    end = at + 4 + length
    _put(out, at, end, crc32(out[at + 4 : end], crc32(out[:at])))
    return end


def _reseal_segment(out: bytearray, start: int) -> int:
    length, at = _varint(out, start + 1)
    end = at + 4 + length
    _put(out, at, end, crc32(out[at + 4 : end], crc32(out[start : start + 1])))
    return end


def _put(out: bytearray, at: int, end: int, crc: int) -> None:
    if end > len(out):
        raise IndexError
    out[at : at + 4] = crc.to_bytes(4, "little")


def _varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Value and place behind it; spellings that are too long are read too, up to ten bytes."""
    value = 0
    for place in range(10):
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise IndexError


def _spell(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))
