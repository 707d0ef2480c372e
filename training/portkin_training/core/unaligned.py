"""Unaligned integers out of memory, for compiled kernels.

The kernels walk an array by its address: numba counts references to each array handed to a function, which
cost ten times what decoding a packet costs. Nothing here checks bounds; who calls has.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

kernel = njit(nogil=True, cache=True, error_model="numpy")
"""Decorates every compiled loop of this package. Numba's cache knows only the file of the loop: after
a change to an `inlined` function elsewhere, delete ``__pycache__``."""

inlined = njit(nogil=True, error_model="numpy", forceinline=True)
"""Decorates the functions that such loops call; they are inlined."""


def _loader(bits: int, *, big: bool) -> Any:
    @intrinsic
    def load(typingctx, address):
        def codegen(context, builder, signature, args):
            pointer = builder.inttoptr(args[0], ir.IntType(bits).as_pointer())
            value = builder.load(pointer, align=1)
            if big and bits > 8:
                value = builder.bswap(value)
            return value if bits == 64 else builder.zext(value, ir.IntType(64))

        return types.int64(types.int64), codegen

    return load


u8 = _loader(8, big=False)
be16 = _loader(16, big=True)
be32 = _loader(32, big=True)
be64 = _loader(64, big=True)  # two's complement, as i64
i64 = _loader(64, big=False)
le16 = _loader(16, big=False)
le32 = _loader(32, big=False)
"""The unsigned integer at an address, as int64. Machines are little-endian here: `i64` reads an element."""


@intrinsic
def prefetch(typingctx, address):
    """Ask for the memory at an address, which will be read soon; any address is harmless."""

    def codegen(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, *[ir.IntType(32)] * 3])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, keep, data = (ir.Constant(ir.IntType(32), value) for value in (0, 3, 1))
        builder.call(function, [pointer, read, keep, data])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def put64(typingctx, address, value):
    """Write a uint64 to an address, in the machine's byte order, little-endian."""

    def codegen(context, builder, signature, args):
        builder.store(args[1], builder.inttoptr(args[0], ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.uint64), codegen
