"""Writes a table with a model of sources, and a capture of three sources that step through ports of a darknet.

Each begins at another port and goes on by a step of its own, ten ports a source, all in turn.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["PORTKIN"] + "/../tests")

from support.source_models import table_by_source
from support.timed_packets import connection, write_packets

table_by_source(Path("table"))
packets = []
for number in range(10):
    for source, (first, step) in enumerate(((22, 3), (22, 5), (9000, 7))):
        when = 0.3 * number + 0.1 * source
        packets += connection(when, f"198.51.100.{source + 1}", "203.0.113.9", first + step * number, "nothing")
write_packets(Path("steps.pcap"), packets)
