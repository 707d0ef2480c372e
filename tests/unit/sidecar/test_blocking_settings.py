"""From the settings of blocking to limits, places and addresses that are never blocked."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from portkin.blocking.config import EnforceConfig, database_path, place_of
from portkin.blocking.enforcer_factory import protected_addresses
from portkin.blocking.metrics import BlockingMetrics
from portkin.blocking.peers import PeerAddresses
from portkin.config.schema import load_config
from portkin.errors import ConfigError
from portkin.net.addresses import number_of
from portkin.net.ports import Port
from portkin.zeek.peer_addresses import host_of
from support.enforcing import Lines


def test_the_settings_become_limits(tmp_path):
    """Nets and ports of the file become limits; what is not a port is named with its setting and line."""
    file = tmp_path / "p.yaml"
    file.write_text("enforce: {limits: {never_nets: [192.0.2.0/24], never_ports: [22/tcp, 53/udp], holdout: 0.02}}")
    limits = load_config(file).enforce.limits
    assert (True, False) == (number_of("192.0.2.9") in limits.nets, number_of("192.0.3.9") in limits.nets)
    assert ({Port(22, "tcp"), Port(53, "udp")}, 0.02) == (limits.ports, limits.holdout)
    file.write_text("enforce:\n  limits:\n    never_ports:\n      - 22/tcp\n      - 99999\n")
    with pytest.raises(ConfigError, match=r"p\.yaml:5: enforce\.limits\.never_ports has 99999 in it; write a port"):
        load_config(file)


def test_a_table_name_is_checked(tmp_path):
    """A table's name with more than letters, digits and _ in it is refused with the setting's name."""
    (tmp_path / "p.yaml").write_text("enforce: {nftables: {table: 'x; flush ruleset'}}")
    with pytest.raises(ConfigError, match=r"enforce\.nftables\.table"):
        place_of(load_config(tmp_path / "p.yaml").enforce)


def test_where_the_database_is(monkeypatch, tmp_path):
    """Root's database is in /var/lib, other users' under their state folder, and the setting wins."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert "/var/lib/portkin/blocks.sqlite" == str(database_path(EnforceConfig()))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert tmp_path / "portkin" / "blocks.sqlite" == database_path(EnforceConfig())
    assert tmp_path / "b" == database_path(EnforceConfig(database=tmp_path / "b"))


def test_the_hosts_of_zeek_are_never_blocked():
    """The addresses of the peers are among our own, as are the machine's."""
    peers = PeerAddresses(
        ["192.0.2.7", "", "2001:db8::7", "fe80::1%eth0"], metrics=BlockingMetrics(CollectorRegistry()), log=Lines()
    )
    addresses = protected_addresses(peers)()
    assert {number_of("2001:db8::7"), number_of("fe80::1")} <= addresses.own
    assert {number_of("192.0.2.7"), number_of("127.0.0.1")} <= addresses.own
    hosts = [host_of(text) for text in ("ws://[2001:db8::1]:27759/v1", "zeek.example:27760", "")]
    assert ["2001:db8::1", "zeek.example", ""] == hosts
