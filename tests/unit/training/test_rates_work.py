"""The folder of `--work`: one process at a time per run, and files that are damaged."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from portkin.errors import OutputError
from portkin.net.ports import Port
from portkin.timeseries.bins import HOUR
from portkin_training.rates import evaluate, rolling
from portkin_training.rates.affinity.feature_ports import Affinities
from portkin_training.rates.models.registry import profile
from portkin_training.rates.series.rate_series import Rates
from portkin_training.rates.single_thread import single_threaded
from portkin_training.rates.work_folder import work_folder

SSH = Port(22, "tcp")
RUN = "0123456789abcdef"
HOLD = """
import sys
from pathlib import Path
from portkin_training.rates.work_folder import work_folder
with work_folder(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def series() -> Rates:
    counts = np.random.default_rng(0).poisson(20, (200, 1)).astype(float)
    return Rates((SSH,), np.arange(200) * HOUR, counts, HOUR, "UTC")


def run(kind, folder, rates: Rates, models=("median", "EWMA")):
    """The results of these models, as `kind` finds them."""
    affinities = Affinities.of(rates, 24, None, 0, rolling.cuts(200)[0])
    return kind(
        rates, affinities, profile("small", HOUR), folder=folder, seed=0, targets=[SSH], models=models, jobs=1
    )  # fmt: skip


def test_another_process_with_the_same_run_is_refused_until_it_ends(tmp_path):
    """The refusal names the folder; another run may go on in it; a killed process leaves no claim behind."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "w", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert "held\n" == other.stdout.readline()
        refused = pytest.raises(OutputError, match=rf"{tmp_path / 'w'}: another process fits the same")
        with refused, work_folder(tmp_path / "w", RUN):
            pass
        with work_folder(tmp_path / "w", RUN[::-1]):
            pass
        other.kill()
    with work_folder(tmp_path / "w", RUN):
        pass


@pytest.mark.parametrize("kind", [rolling.trials, evaluate.evaluate])
def test_trials_and_results_are_fitted_by_one_process(tmp_path, kind):
    """While one run is under way the same is refused; afterwards it finds all results there."""
    first = run(kind, tmp_path, series())
    found = {next(first).model}
    with pytest.raises(OutputError, match="another process fits the same"):
        next(run(kind, tmp_path, series()))
    found |= {each.model for each in first}
    assert {"median", "EWMA"} == found
    files = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.npz")}
    assert 2 == len(list(run(kind, tmp_path, series())))
    assert files == {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.npz")}


@pytest.mark.parametrize("kind", [rolling.trials, evaluate.evaluate])
@pytest.mark.parametrize(
    "harm", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: data[:50] + b"x" * 99]
)
def test_a_damaged_result_is_computed_again(tmp_path, kind, harm):
    """Empty, cut off or overwritten: the same result comes out, and is kept again."""
    (before,) = run(kind, tmp_path, series(), ["EWMA"])
    (file,) = tmp_path.glob("*.npz")
    whole = file.read_bytes()
    file.write_bytes(harm(whole))
    (after,) = run(kind, tmp_path, series(), ["EWMA"])
    np.testing.assert_array_equal(before.forecast, after.forecast)
    assert len(whole) == pytest.approx(file.stat().st_size, abs=20)  # but for the seconds that it took


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    """`train` refuses a folder with foreign files, as `evaluate` does."""
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match=r"letter\.txt"):
        next(run(rolling.trials, tmp_path, series()))
    assert ["letter.txt"] == [file.name for file in tmp_path.iterdir()]


def blas_threads() -> set[int]:
    """How many threads each library of linear algebra may use."""
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_fits_have_one_thread_each():
    """Within it torch and BLAS have one thread; after it, also where the fit fails, BLAS has as many as before."""

    @single_threaded
    def fit(fails: bool) -> tuple[set[int], int]:
        if fails:
            raise ValueError("no fit")
        return blas_threads(), torch.get_num_threads()

    with threadpool_limits(2, user_api="blas"):
        assert ({1}, 1) == fit(False)
        with pytest.raises(ValueError, match="no fit"):
            fit(True)
        assert {2} == blas_threads()
