"""Commands that start, answer and end, with numpy."""

from __future__ import annotations

import os


def one_thread() -> None:
    """Have numpy start no threads for linear algebra; for commands that have none to do, before they import it.

    OpenBLAS, which comes with numpy, starts one per processor, and each spins for some 40 ms before it sleeps.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
