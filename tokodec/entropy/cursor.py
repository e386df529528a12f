"""Numbers of the .tkd file, and a cursor that takes them from bytes nobody can trust."""

from tokodec.errors import CorruptFile

MAX_U32 = 2**32 - 1


def u32(value: int) -> bytes:
    """Four bytes, the lowest first. ``value`` is 0..2**32 - 1."""
    return value.to_bytes(4, "little")


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; a high bit says that another byte follows. ``value`` is 0 or more."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


class Cursor:
    """Takes values from the front of ``view`` and never reaches past its end.

    Messages say that ``name`` ends inside ``what``. All methods raise CorruptFile.
    """

    def __init__(self, view: memoryview, name: str) -> None:
        self.view = view
        self.at = 0
        self._name = name

    @property
    def left(self) -> int:
        """Bytes that are not taken yet."""
        return len(self.view) - self.at

    def take(self, count: int, what: str) -> memoryview:
        """The next ``count`` bytes, not copied."""
        if count > self.left:
            raise CorruptFile(f"{self._name} ends inside {what}: it needs {count} bytes, {self.left} are there")
        self.at += count
        return self.view[self.at - count : self.at]

    def u8(self, what: str) -> int:
        """The next byte."""
        return self.take(1, what)[0]

    def u32(self, what: str) -> int:
        """The next four bytes, the lowest first."""
        return int.from_bytes(self.take(4, what), "little")

    def varint(self, what: str) -> int:
        """A number below 2**32 in its shortest form: one value has one spelling."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.u8(what)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > MAX_U32 or (shift and not byte):
                    break
                return value
        raise CorruptFile(f"{what} is not a number of up to 32 bits in its shortest form")
