"""Values in Thrift's compact protocol, which the headers and the footer of Parquet are written in.

Each value is its type and its bytes
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Value = tuple[int, bytes]
"""The number of a type, and how the value is written."""

_SHORT = [bytes((number,)) for number in range(0x80)]
_TRUE, _FALSE, _I8, _I32, _I64, _BINARY, _LIST, _STRUCT = 1, 2, 3, 5, 6, 8, 9, 12


def varint(number: int) -> bytes:
    """A number from 0 on, seven bits a byte, the lowest first (ULEB128)."""
    if number <= 0x7F:
        return _SHORT[number]
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _zigzag(number: int) -> bytes:
    return varint(number << 1 if number >= 0 else ~number << 1 | 1)


def boolean(value: bool) -> Value:
    """A bool that is a field of a struct."""
    return (_TRUE if value else _FALSE), b""


def i8(number: int) -> Value:
    """A number of 8 bits."""
    return _I8, number.to_bytes(1, "little", signed=True)


def i32(number: int) -> Value:
    """A number of 32 bits; enumerations are such."""
    return _I32, _zigzag(number)


def i64(number: int) -> Value:
    """A number of 64 bits."""
    return _I64, _zigzag(number)


def binary(data: bytes | str) -> Value:
    """Bytes, or text in UTF-8."""
    data = data.encode() if isinstance(data, str) else data
    return _BINARY, varint(len(data)) + data


def listed(values: Sequence[Value]) -> Value:
    """A list of values of one type; of none, one of structs."""
    kind = values[0][0] if values else _STRUCT
    head = bytes((len(values) << 4 | kind,)) if len(values) < 15 else bytes((0xF0 | kind,)) + varint(len(values))
    return _LIST, head + b"".join(data for _, data in values)


def struct(fields: Mapping[int, Value]) -> Value:
    """A struct of fields by their numbers, in ascending order, no two further apart than 15."""
    out: list[bytes] = []
    last = 0
    for number, (kind, data) in fields.items():
        out += bytes(((number - last) << 4 | kind,)), data
        last = number
    return _STRUCT, b"".join(out) + b"\0"
