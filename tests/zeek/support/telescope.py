"""Writes models, and a capture for each of two workers, of twelve bins of two seconds, into the current folder.

Both see half of 30 probes of 22/tcp in a bin; in the tenth the second alone sees 150. Forecast is the mean of three.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["PORTKIN"] + "/../tests")

from support.telescope import SSH, write_capture, write_means

write_means(Path("models"), [SSH], width=2)
write_capture(Path("worker-1.pcap"), {SSH: [15] * 12}, width=2)
write_capture(Path("worker-2.pcap"), {SSH: [15] * 9 + [150] + [15] * 2}, width=2)
