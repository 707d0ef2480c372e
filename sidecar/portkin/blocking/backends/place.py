"""Where in nftables the blocks are. By itself: reading the settings needs nothing of what speaks to the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ELEMENTS = 2
"""Elements for each block: one that has run out stays until the kernel sweeps, about once a second."""
LONGEST = 255
"""Characters of a table's name at most (the kernel's NFT_TABLE_MAXNAMELEN)."""
Hook = Literal["prerouting", "input", "forward"]
_KEYWORDS = """
accept add ah all and arp bridge cgroup chain comment comp constant continue counter cpu create ct daddr day dccp
define delete describe destroy device devices dnat drop dst dup dynamic ecn element elements eq esp ether exists
expires export exthdr fib flags flow flowtable flush frag fwd ge geneve get goto gre gretap gt handle hbh hook hour
ibriport ibrname icmp icmpv6 id igmp iif iifgroup iifname iiftype import include index inet insert interval ip ip6
ipsec jhash jump le limit list log lshift lt map mark masquerade meta meter mh missing monitor ne netdev nftrace not
notrack numgen obriport obrname offload oif oifgroup oifname oiftype or osf pkttype policy position priority queue
quota random redefine redirect reject rename replace reset return rshift rt rt0 rt2 rtclassid rule ruleset sctp
secmark set size skgid skuid snat socket srh symhash synproxy table tcp th time timeout tproxy tunnel type typeof udp
udplite undefine update vlan vmap vni vxlan xor xt
"""
KEYWORDS = frozenset(_KEYWORDS.split())
"""What nft 1.0.6 to 1.1.6 reads as something else than a name, wherever it stands: no table can have such a name."""


@dataclass(frozen=True)
class Place:
    """Where in the kernel: the names and numbers that an operator chooses."""

    table: str = "portkin"
    hook: Hook = "prerouting"
    priority: int = -310
    size: int = 200_000
    """Elements that one set may hold."""


def fault_of_name(table: str) -> str:
    """Why nft takes no table of that name, and what to write instead; empty where it does."""
    if not (table.isascii() and table.isidentifier()):
        return "write letters, digits and _, a digit not first"
    if len(table) > LONGEST:
        return f"write {LONGEST} characters at most"
    if table in KEYWORDS:
        return f"a keyword of nft; write another word, such as portkin_{table}"
    return ""
