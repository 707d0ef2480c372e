"""Netlink: what is said where the kernel does not answer, or refuses."""

from __future__ import annotations

import errno
import socket

import pytest

from portkin.blocking.backends.nfnetlink import elements
from portkin.errors import BackendError
from portkin.net import netlink
from portkin.net.netlink import NetlinkError, dump

NOTHING = 1  # NLMSG_NOOP, which the kernel does not answer


def test_a_kernel_that_does_not_answer_is_an_error_with_a_reason(monkeypatch):
    """An answer that does not come ends the wait, as an error with number and text."""
    monkeypatch.setattr(netlink, "TIMEOUT", 0.05)
    with pytest.raises(NetlinkError, match=r"did not answer within 0\.05 s") as caught:
        list(dump(socket.NETLINK_ROUTE, NOTHING, b""))
    assert errno.ETIMEDOUT == caught.value.errno


@pytest.mark.root
def test_the_reason_reaches_the_log(root, monkeypatch):
    """The error of a backend that cannot be read says why."""
    from portkin.blocking.backends.nftables import Nftables
    from portkin.blocking.backends.place import Place
    from support.netns import private_network

    with private_network():
        backend = Nftables(Place())
        backend.setup()
        monkeypatch.setattr(netlink, "TIMEOUT", 0.05)
        monkeypatch.setattr("portkin.blocking.backends.nfnetlink.GETSETELEM", NOTHING)
        with pytest.raises(BackendError, match=r"nftables: cannot be read \(the kernel did not answer within 0\.05 s"):
            backend.held()
        monkeypatch.undo()
        with pytest.raises(NetlinkError, match="No such file"):
            elements("portkin", "none")
        backend.close()
