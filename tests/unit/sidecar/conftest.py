"""Enforcers to test, started."""

from __future__ import annotations

import subprocess

import pytest

from portkin.blocking.backends.nftables import Nftables
from portkin.blocking.backends.place import Place
from portkin.errors import BackendError
from support.enforcing import Bench, Clock
from support.netns import private_network
from support.simulated_backend import Kernel


@pytest.fixture(scope="module")
def impatient():
    """A writer does not wait for another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("portkin.sqlite.BUSY", 0.01)
        yield


@pytest.fixture
def small_disk(request, root, tmp_path):
    """A file system of 512 KB, or of the size that is the fixture's parameter."""
    folder = tmp_path / "small"
    folder.mkdir()
    size = getattr(request, "param", "512k")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("tmpfs cannot be mounted")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    made.enforcer.start()
    return made


@pytest.fixture
def kernel():
    return Kernel(Clock())


@pytest.fixture
def kernel_bench(tmp_path, kernel):
    made = Bench(tmp_path, kernel, clock=kernel.clock)
    made.enforcer.start()
    return made


@pytest.fixture
def bare_nft(root):
    """nftables without our table, in a network namespace of our own."""
    with private_network():
        try:
            backend = Nftables(Place())
        except BackendError as error:
            pytest.skip(str(error))
        yield backend
        backend.close()


@pytest.fixture
def nft(bare_nft):
    """A table of our own in a network namespace of our own."""
    bare_nft.setup()
    return bare_nft
