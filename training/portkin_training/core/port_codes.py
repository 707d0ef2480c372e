"""Port codes: a port and its protocol as one number. TCP port p is p, UDP port p is 65536 + p."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from portkin.net.ports import CODES, PORTS
from portkin_training.core.protocols import UDP

__all__ = ["CODES", "codes_of"]


def codes_of(dport: NDArray[np.uint16], proto: NDArray[np.integer]) -> NDArray[np.int32]:
    """The codes, int32 (n,), of ports uint16 (n,) and IANA protocol numbers (n,).

    >>> codes_of(np.array([22, 53], np.uint16), np.array([6, 17])).tolist()
    [22, 65589]
    """
    udp: NDArray[np.bool_] = np.asarray(proto) == UDP
    return dport.astype(np.int32) + PORTS * udp.astype(np.int32)
