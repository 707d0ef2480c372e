"""The one hash of the compiled loops: 64-bit words are mixed in one after the other.

Numba cannot call the hashes of Python or NumPy, and a cryptographic one would cost more than what it is used for.
"""

from __future__ import annotations

import numpy as np

from portkin_training.core.unaligned import inlined

SEED = np.uint64(0x9E37_79B9_7F4A_7C15)
"""What a hash starts from; also the multiplier, 2^64 divided by the golden ratio."""
_SHIFT = np.uint64(29)


@inlined
def mixed(hashed, word):
    """The uint64 hash with one more 64-bit word in it; the low bits are as well mixed as the high ones."""
    hashed = (hashed ^ np.uint64(word)) * SEED
    return hashed ^ (hashed >> _SHIFT)
