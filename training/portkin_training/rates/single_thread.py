"""Fits on one thread each: ports and models are fitted side by side, by processes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from threadpoolctl import threadpool_limits

P = ParamSpec("P")
T = TypeVar("T")


def single_threaded(work: Callable[P, T]) -> Callable[P, T]:
    """The same function, within which neither torch nor BLAS has more than one thread.

    The matrices of a fit are small: more threads would wait for each other most of the time, and use several times the
    processor time.
    """

    @wraps(work)
    def alone(*args: P.args, **kwargs: P.kwargs) -> T:
        torch.set_num_threads(1)
        with threadpool_limits(1, user_api="blas"):
            return work(*args, **kwargs)

    return alone
