"""Blocking: what Zeek asks for becomes rules of the kernel or bits of Suricata, within limits, and into the books.

Zeek decides; nothing here blocks on its own. `enforcer` joins the parts: `limits` says whether, `books` keep
what was done, a `backend` does it (`nftables`, `suricata`, or `shadow`, which only pretends).
"""
