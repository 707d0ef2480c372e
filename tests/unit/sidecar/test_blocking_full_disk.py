"""Blocking on a full disk: nothing is lost, nothing is called a defect, and it is named."""

from __future__ import annotations

import pytest
from prometheus_client import Gauge

from portkin.blocking.backends.nftables import Nftables, Place
from portkin.blocking.config import EnforceConfig
from portkin.blocking.database import BlockDatabase
from portkin.blocking.limits import Limits
from portkin.config.schema import Config
from portkin.doctor.checks.host import check_databases
from portkin.doctor.gathering.databases import gather_databases
from portkin.doctor.gathering.sidecar import read_families
from portkin.errors import StorageError
from support.disks import filled
from support.enforcing import Clock, block, damage, nets, started, unblock
from support.simulated_backend import OTHER, SRC, key

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.mark.root
def test_damage_on_a_full_disk_loses_nothing(small_disk, bare_nft):
    """Where there is no room for a new file, blocks are known, end as ordered, and are recorded once there is room."""
    clock = Clock()
    bench = started(small_disk, bare_nft, Limits(grace=600), clock=clock)
    bench.ask(block(SRC, "1", 600), block(SRC, "2", 600), block(OTHER, "3", 600))
    damage(bench)
    with filled(small_disk):
        bench.enforcer.tick()
        assert "error" == bench.ask(block(SRC, "4", 600))[0][0]
        bench.enforcer.set_limits(Limits(grace=600, never_nets=nets(f"{OTHER}/32")))
        assert "releases it" in bench.ask(unblock(SRC, "2"))[0][1]
        assert {key(SRC, "1")} == bare_nft.held().keys()
    bench.enforcer.tick()
    assert [("exists", ""), ("vetoed", "grace")] == bench.ask(block(SRC, "1", 600), block(SRC, "2", 600))
    assert {key(SRC, "1")} == {each.key for each in BlockDatabase(bench.path).active()} == bare_nft.held().keys()


@pytest.mark.root
def test_a_full_disk_is_no_defect(small_disk, bare_nft):
    """A start that cannot record what the kernel holds says that the disk is full."""
    first = started(small_disk, bare_nft)
    first.ask(*(block(SRC, str(port), 600) for port in range(1, 1000)))
    first.enforcer.close()
    for file in small_disk.iterdir():
        file.unlink()
    started(small_disk).enforcer.close()  # the file, without blocks
    # The log's index takes 32 KB, a thousand rows more than the rest.
    with (
        filled(small_disk, but=65_536),
        pytest.raises(StorageError, match=r"cannot be used \(.* is full"),
    ):
        started(small_disk, Nftables(Place()))


@pytest.mark.root
def test_the_doctor_names_a_full_disk(small_disk):
    """While nothing can be recorded, metrics and doctor say so, and name the disk; once there is room, no more."""
    bench = started(small_disk)
    config = Config(enforce=EnforceConfig(database=bench.path))
    Gauge("portkin_connected", "", registry=bench.registry)  # by which a page of metrics is known as ours

    def said() -> list[tuple[str, bool]]:
        found = read_families("here", bench.registry.collect())
        return [(each.code, "0 KiB are left" in each.what) for each in check_databases(gather_databases(config), found)]

    assert [("added", "")] == bench.ask(block(SRC, "1", 600))
    assert ([("block-database.disk-full", False)], 1.0) == (said(), bench.metric("portkin_block_database_ready"))
    with filled(small_disk):
        while bench.ask(*(block(SRC, str(port), 600) for port in range(2, 500)))[0][0] != "error":
            bench.ask(unblock(SRC, "2"))
        assert ([("block-database.not-written", True)], 0.0) == (said(), bench.metric("portkin_block_database_ready"))
    assert [("added", "")] == bench.ask(block(OTHER, "1", 600))
    assert 1.0 == bench.metric("portkin_block_database_ready")
