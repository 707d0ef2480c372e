"""Many bytes at a time, for compiled kernels: LLVM's vectors, which become SSE, AVX or NEON.

Like `unaligned`, nothing here checks bounds: `WIDTH` bytes (`COPIED`, `KEY`) from the address must be readable.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

WIDTH = 32
"""Bytes that the functions of bits look at."""
LONG = 64
"""Bytes that `either` and `oddities` look at."""
COPIED = 16
"""Bytes that `copy_some` copies."""
ODD = 1
"""What `oddities` says of bytes that need care."""

_BYTE, _BIT = ir.IntType(8), ir.IntType(1)


def _splat(value: int, width: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(_BYTE, width), [value] * width)


def _loaded(builder: Any, address: Any, width: int) -> Any:
    return builder.load(builder.inttoptr(address, ir.VectorType(_BYTE, width).as_pointer()), align=1)


def _spread(builder: Any, value: Any, width: int) -> Any:
    """A vector of one number, of which only the lowest byte counts."""
    vector = ir.VectorType(_BYTE, width)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), builder.trunc(value, _BYTE), ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


def _bits(builder: Any, vector: Any, width: int) -> Any:
    """The bits of a mask as int64, the first byte's lowest."""
    found = builder.bitcast(vector, ir.IntType(width))
    return found if width == 64 else builder.zext(found, ir.IntType(64))


def _first(builder: Any, mask: Any) -> Any:
    """The place of the first of `WIDTH` bits; `WIDTH` where none is set."""
    bits = builder.bitcast(mask, ir.IntType(WIDTH))
    found = builder.cttz(bits, _BIT(0))
    return builder.zext(found, ir.IntType(64))


@intrinsic
def string_stop(typingctx, address):
    """How many of the next `WIDTH` bytes stand before the first one that is a quote, a backslash or below a blank."""

    def codegen(context, builder, signature, args):
        data = _loaded(builder, args[0], WIDTH)
        quote = builder.icmp_unsigned("==", data, _splat(34, WIDTH))
        slash = builder.icmp_unsigned("==", data, _splat(92, WIDTH))
        control = builder.icmp_unsigned("<", data, _splat(32, WIDTH))
        return _first(builder, builder.or_(builder.or_(quote, slash), control))

    return types.int64(types.int64), codegen


@intrinsic
def digits(typingctx, address):
    """How many digits the next `WIDTH` bytes begin with."""

    def codegen(context, builder, signature, args):
        data = builder.sub(_loaded(builder, args[0], WIDTH), _splat(48, WIDTH))
        return _first(builder, builder.icmp_unsigned(">", data, _splat(9, WIDTH)))

    return types.int64(types.int64), codegen


@intrinsic
def word(typingctx, address):
    """How many of the next `WIDTH` bytes stand before the first one that is a blank or below."""

    def codegen(context, builder, signature, args):
        data = _loaded(builder, args[0], WIDTH)
        return _first(builder, builder.icmp_unsigned("<=", data, _splat(32, WIDTH)))

    return types.int64(types.int64), codegen


@intrinsic
def until(typingctx, address, byte):
    """How many of the next `WIDTH` bytes stand before the first one that is ``byte``."""

    def codegen(context, builder, signature, args):
        data = _loaded(builder, args[0], WIDTH)
        return _first(builder, builder.icmp_unsigned("==", data, _spread(builder, args[1], WIDTH)))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def equal_bytes(typingctx, first, second):
    """The bits of those of the next `WIDTH` bytes at two places that are equal; the first byte's bit is the lowest."""

    def codegen(context, builder, signature, args):
        one, other = (_loaded(builder, address, WIDTH) for address in args)
        return _bits(builder, builder.icmp_unsigned("==", one, other), WIDTH)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def either(typingctx, address, first, second):
    """The bits of those of the next `LONG` bytes that are one of two bytes; the first byte's bit is the lowest."""

    def codegen(context, builder, signature, args):
        data = _loaded(builder, args[0], LONG)
        masks = [builder.icmp_unsigned("==", data, _spread(builder, one, LONG)) for one in args[1:]]
        return _bits(builder, builder.or_(*masks), LONG)

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def oddities(typingctx, address):
    """Of the next `LONG` bytes: 128 if any is not ASCII, `ODD` if one is null, an escape or a carriage return; their
    sum."""

    def codegen(context, builder, signature, args):
        data = _loaded(builder, args[0], LONG)
        high = builder.icmp_unsigned(">", data, _splat(127, LONG))
        null, escape, back = [builder.icmp_unsigned("==", data, _splat(one, LONG)) for one in (0, 27, 13)]
        odd = builder.or_(builder.or_(null, escape), back)
        none, whole = ir.IntType(64)(0), ir.IntType(64)
        found = none
        for mask, value in ((high, 128), (odd, ODD)):
            some = builder.icmp_unsigned("!=", _bits(builder, mask, LONG), none)
            found = builder.or_(found, builder.select(some, whole(value), none))
        return found

    return types.int64(types.int64), codegen


@intrinsic
def lowest(typingctx, bits):
    """The place of the lowest bit that is set; 64 for none."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], _BIT(0))

    return types.int64(types.int64), codegen


@intrinsic
def set_bits(typingctx, bits):
    """How many bits are set."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.int64), codegen


@intrinsic
def copy_some(typingctx, to, begin):
    """Copy `COPIED` bytes."""

    def codegen(context, builder, signature, args):
        pointer = ir.VectorType(_BYTE, COPIED).as_pointer()
        builder.store(_loaded(builder, args[1], COPIED), builder.inttoptr(args[0], pointer), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen
