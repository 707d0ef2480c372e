"""Whom the rules block: forty patterns that are no scans, and four recorded scans, in every Suricata that is found.

    python tests/bench/detection_by_rules.py

Recall is beside that of rules that count a contact from its first packet on, whether or not an answer is due yet: they
find scans soonest, and call every client a scanner that opens ten connections side by side.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conftest import SHARED, SURICATAS
from portkin.bundles.table import default_table
from portkin_rules.build import write_port_rules
from portkin_rules.generate import blocked_by_probe
from portkin_rules.plan import Plan
from portkin_rules.protected_ports import select_ports
from portkin_training.twin.suricata_rules import RulesConfig, watch
from support.benign import ALLOWED, HOME, write_benign
from support.suricata import dropped, openings_and_answers, replay, scanners_by_address, whole_seconds

AT_ONCE = {"nmap.pcapng": 8795, "masscan.pcapng": 4980, "zmap.pcapng": 4991, "synscan.pcap": 1962}
"""Of each recorded scan, the SYNs of a known scanner where contacts in flight count; whatever the table is."""


def benign(folder: Path, rules: Path) -> None:
    """Print what of each pattern is dropped, and whether it is called a scanner."""
    capture = folder / "benign.pcap"
    sources = write_benign(capture)
    (folder / "pass.txt").write_text(f"{sources[ALLOWED]}\n")
    write_port_rules(Plan(action="drop"), default_table(), "1000", rules, pass_list=folder / "pass.txt")
    found = {}
    for version, program in SURICATAS.items():
        log = folder / f"benign-{version}"
        found[version] = replay(program, rules, capture, log, "--simulate-ips", home=HOME, external="!$HOME_NET")
    print("| pattern | " + " | ".join(f"dropped, Suricata {version}" for version in found) + " | called a scanner |")
    print("|---|" + "---|" * (len(found) + 1))
    for name, address in sources.items():
        drops = [str(dropped(got).count(address)) for got in found.values()]
        called = [version for version, got in found.items() if address in scanners_by_address(got)]
        print(f"| {name} | {' | '.join(drops)} | {', '.join(called) or 'no'} |")


def scans(folder: Path, rules: Path) -> None:
    """Print what of each scan is dropped, and how many of its SYNs come from a source known as a scanner."""
    plan, table = Plan(action="drop"), default_table()
    cut = plan.cut(table)
    kin = blocked_by_probe(cut, select_ports("1000", cut, plan.k), plan.k)
    write_port_rules(plan, table, "1000", rules)
    print("| scan | Suricata | found at SYN | dropped | SYNs of a known scanner | recall |")
    print("|---|---|---|---|---|---|")
    for name, known in AT_ONCE.items():
        packets = list(openings_and_answers(SHARED / "pcaps" / name))
        for version, program in SURICATAS.items():
            got = replay(program, rules, SHARED / "pcaps" / name, folder / f"{name}-{version}", "--simulate-ips")
            seen = list(watch(packets, kin, RulesConfig(whole_seconds=whole_seconds(program))))
            number, of_scanners = len(dropped(got)), sum(what.scanner for _, what in seen)
            assert number == sum(what.blocked for _, what in seen), "Suricata and the twin differ"
            first = next(at for at, (_, what) in enumerate(seen, start=1) if what.new_scanner)
            print(f"| {name} | {version} | {first} | {number} | {of_scanners} | {of_scanners / known:.3f} |")


def main() -> None:
    """Both tables."""
    with tempfile.TemporaryDirectory(prefix="portkin-bench-") as name:
        folder = Path(name)
        benign(folder, folder / "benign.rules")
        print()
        scans(folder, folder / "scans.rules")


if __name__ == "__main__":
    main()
