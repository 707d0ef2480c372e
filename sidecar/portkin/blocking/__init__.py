"""Blocking: what Zeek requests becomes nftables elements or Suricata host bits, within limits, and is recorded.

Zeek decides; nothing here blocks on its own. `service` takes requests to `enforcer`; `policy` decides within `limits`
and `protected`; `active` has the state of all blocks, `records` and `database` make it durable, `reconcile` carries it
out in one of the `backends`, and `failures` says what happens where one of them cannot be used.
"""
