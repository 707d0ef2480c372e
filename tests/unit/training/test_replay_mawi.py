"""MAWILab labels: the files as they really are, damaged ones, and what they say of packets."""

from pathlib import Path

import numpy as np
import pytest

from portkin.errors import InputError
from portkin.net.addresses import number_of, text_of
from portkin_training.evaluation.label_files import labels_for
from portkin_training.ingest.captures.packets import ACK, SYN, Packets
from portkin_training.replay.events import BENIGN, SCAN, UNCOUNTED
from portkin_training.replay.mawi.labels import read_labels
from portkin_training.replay.mawi.matcher import Matcher
from portkin_training.replay.mawi.scan_labels import is_scan
from portkin_training.replay.mawi.traces import Duplicates

V1_1 = "anomalyID, srcIP, srcPort, dstIP, dstPort, taxonomy, heuristic, distance, nbDetectors, label\n"


def packets(*rows: tuple[str, int, str, int], ts=0, proto=6, flags=SYN, seq=0) -> Packets:
    """Packets (source, port, destination, port)."""
    made = Packets.empty(len(rows))
    halves = [[(number_of(row[at]) >> 64, number_of(row[at]) & (1 << 64) - 1) for row in rows] for at in (0, 2)]
    made.src[:], made.dst[:] = (np.array(part, np.uint64).astype(np.int64) for part in halves)
    made.sport[:], made.dport[:] = [row[1] for row in rows], [row[3] for row in rows]
    for name, value in (("ts", ts), ("proto", proto), ("flags", flags), ("seq", seq)):
        getattr(made, name)[:] = value
    return made


def truth(matcher: Matcher, of: Packets) -> list[int]:
    return matcher.truth(of.ts, of.src, of.dst, of.sport, of.dport).tolist()


class TestFiles:
    @pytest.mark.data
    @pytest.mark.parametrize(
        ("name", "labels", "anomalous", "scans"),
        [
            # rows; rows that end in "anomalous"; rows whose taxonomy is a SYN or UDP scan, by grep on the files
            ("20191121_anomalous_suspicious.csv", 245, 103, 62),
            ("20201110_anomalous_suspicious.csv", 216, 82, 65),
        ],
    )
    def test_v1_1(self, shared_data, name, labels, anomalous, scans):
        """Ten names over nine values: no row is lost, and the label is not mistaken for the number of detectors."""
        read = read_labels(shared_data / "mawi" / name)

        assert () == read.problems
        assert (labels, anomalous) == (len(read.labels), sum(label.level == "anomalous" for label in read.labels))
        assert scans == sum(label.scan for label in read.labels)
        assert {None} == {label.heuristic for label in read.labels}

    @pytest.mark.data
    def test_eight_columns(self, shared_data):
        """The edited file is read by name: it has the heuristic, and `None` for anything."""
        read = read_labels(shared_data / "mawi" / "20220110_anomalous_suspicious_reduced.csv")

        assert () == read.problems
        first, second, *_ = read.labels
        assert ("ntscUDPOther", 999, 5151, 5080, None) == (
            first.taxonomy, first.heuristic, first.sport, first.dport, first.dst,
        )  # fmt: skip
        assert (None, 443) == (second.src, second.sport)

    def test_xml(self, tmp_path):
        """An admd file gives one label per filter, with the anomaly's times, taxonomy and code."""
        (tmp_path / "a.xml").write_text(
            """<admd:annotation xmlns:admd="http://admd.example"><anomaly type="anomalous" value="1,2,10,4,ntscSYN">
            <slice><filter src_ip="192.0.2.7" dst_port="445"/><filter src_ip="192.0.2.7" dst_port="139"/></slice>
            <from sec="100" usec="5"/><to sec="200" usec="0"/></anomaly>
            <anomaly type="suspicious" value="1,2,504,4,mptp"><slice><filter dst_ip="2001:db8::1"/></slice></anomaly>
            </admd:annotation>"""
        )

        scan, again, other = read_labels(tmp_path / "a.xml").labels

        assert (True, True, False) == (scan.scan, again.scan, other.scan)
        assert ("0", 445, 10, 100_000_005, 200_000_000) == (
            scan.anomaly, scan.dport, scan.heuristic, scan.first, scan.last,
        )  # fmt: skip
        assert number_of("2001:db8::1") == other.dst

    def test_damaged_rows(self, tmp_path):
        """Rows that make no sense are named by line and left out; the rest is kept."""
        (tmp_path / "a.csv").write_text(
            V1_1 + "0,192.0.2.1,,,445,ntscSYN,0.1,3,anomalous\n1,192.0.2.999,,,445,ntscSYN,0.1,3,anomalous\n"
            "2,192.0.2.1,,,70000,ntscSYN,0.1,3,anomalous\n\n3,192.0.2.1,,445\n4,192.0.2.2,,,80,ntscSYN,0.1,3,odd\n"
        )

        read = read_labels(tmp_path / "a.csv")

        assert ["0"] == [label.anomaly for label in read.labels]
        assert ["line 3", "line 4", "line 6", "line 7"] == [text.split(": ")[1] for text in read.problems]

    @pytest.mark.parametrize("text", ["", "a,b,c\n1,2,3\n", "<admd><anomaly>", "<nothing/>"])
    def test_no_labels(self, tmp_path, text):
        """A file that holds no labels at all is refused by its name."""
        (tmp_path / "a.csv").write_text(text)

        with pytest.raises(InputError, match=r"a\.csv"):
            read_labels(tmp_path / "a.csv")

    def test_which_labels(self, tmp_path):
        """Of a folder of labels, each capture takes those of its date; a capture without any is refused."""
        for name in ("20150902_anomalous_suspicious.csv", "20150903_anomalous_suspicious.csv"):
            (tmp_path / name).write_text(V1_1)
        captures = [Path("201509031400.dump.gz"), Path("201509021400.dump.gz")]

        found = labels_for(captures, [tmp_path])
        assert [["20150903"], ["20150902"]] == [[file.name[:8] for file in files] for files in found.values()]
        with pytest.raises(InputError, match=r"201509041400"):
            labels_for([*captures, Path("201509041400.dump.gz")], [tmp_path])

    def test_all_labels_of_a_day(self, tmp_path):
        """MAWILab publishes notices apart: both files of a day count. Labels of another day are refused, even alone."""
        day, notices, other = (
            tmp_path / name
            for name in ("20150902_anomalous_suspicious.csv", "20150902_notice.csv", "20150903_notice.csv")
        )
        capture, undated = Path("201509021400.dump"), Path("mine.pcap")

        assert {capture: [day, notices]} == labels_for([capture], [day, notices, other])
        assert {undated: [day, notices]} == labels_for([undated], [day, notices])
        with pytest.raises(InputError, match="201509021400"):
            labels_for([capture], [other])
        with pytest.raises(InputError, match="mine"):
            labels_for([undated], [day, other])

    def test_quotation_marks(self, tmp_path):
        """A stray quotation mark costs its own line alone, whatever follows; quoted fields are read."""
        good = "0,192.0.2.1,,,445,ntscSYN,0.1,3,anomalous\n"
        path = tmp_path / "labels.csv"
        path.write_text(V1_1 + '1,"192.0.2.9,,,445\n' + good + good.replace("192.0.2.1", '"192.0.2.2"') + "x" * 300_000)

        read = read_labels(path)

        assert ["192.0.2.1", "192.0.2.2"] == [text_of(label.src) for label in read.labels]
        assert 2 == len(read.problems)

    def test_times_that_are_none(self, tmp_path):
        """A time that no clock shows costs its anomaly alone."""
        anomaly = (
            '<anomaly type="anomalous" value="1,1,20,3,ntscSYN"><from sec="{}" usec="0"/><to sec="9" usec="0"/>'
            '<slice><filter src_ip="192.0.2.1"/></slice></anomaly>'
        )
        path = tmp_path / "labels.xml"
        path.write_text(f"<admd>{anomaly.format('9' * 22)}{anomaly.format(1)}</admd>")

        read = read_labels(path)

        assert 1 == len(read.labels)
        assert "9999" in read.problems[0]


@pytest.mark.parametrize(
    ("taxonomy", "heuristic", "scan"),
    [
        ("ntscSYN", None, True), ("sntscSYN", None, True), ("dntscSYN", 10, True), ("ntscSYN139445", None, True),
        ("ntscUDPUDPrp", None, True), ("poscaSYN", None, True), ("ptpposcaUDP", 999, True), ("ptmp", 10, True),
        ("ptmp", None, False), ("ntscICecrqICecrprp", 20, False), ("ntscTCPRSTACKrp", 11, False),
        ("DDoSSYN", None, False), ("alphfl", 999, False), ("mptp", 10, False), ("empty", None, False),
    ],
)  # fmt: skip
def test_mapping(taxonomy, heuristic, scan):
    """SYN and UDP scans are scans; ICMP, answers, floods and large flows are none."""
    assert scan == is_scan(taxonomy, heuristic)


class TestMatcher:
    LABELS = (
        "0,192.0.2.1,,,445,ntscSYN,0.1,3,anomalous\n0,192.0.2.1,,,139,ntscSYN,0.1,3,anomalous\n"
        "1,2001:db8::1,,,,ntscUDPOther,0.1,3,suspicious\n2,,,198.51.100.5,80,DDoSSYN,0.1,3,anomalous\n"
    )

    def matcher(self, tmp_path: Path, *levels: str) -> Matcher:
        (tmp_path / "a.csv").write_text(V1_1 + self.LABELS)
        return Matcher(read_labels(tmp_path / "a.csv").labels, frozenset(levels or ("anomalous", "suspicious")))

    def test_wildcards(self, tmp_path):
        """Any row of an anomaly covers a packet; what a row leaves empty may be anything."""
        seen = packets(
            ("192.0.2.1", 1, "203.0.113.1", 445), ("192.0.2.1", 2, "203.0.113.9", 139),
            ("192.0.2.1", 1, "203.0.113.1", 80), ("2001:db8::1", 5, "2001:db8::2", 53),
            ("203.0.113.1", 9, "198.51.100.5", 80), ("2001:db8::3", 5, "::1", 53),
        )  # fmt: skip

        assert [SCAN, SCAN, BENIGN, SCAN, UNCOUNTED, BENIGN] == truth(self.matcher(tmp_path), seen)

    def test_levels(self, tmp_path):
        """A scan of a level not asked for is neither a scan nor benign."""
        seen = packets(("192.0.2.1", 1, "203.0.113.1", 445), ("2001:db8::1", 5, "2001:db8::2", 53))

        assert [SCAN, UNCOUNTED] == truth(self.matcher(tmp_path, "anomalous"), seen)

    def test_no_labels(self):
        """Without labels everything is benign."""
        assert [BENIGN] == truth(Matcher(()), packets(("192.0.2.1", 1, "203.0.113.1", 445)))


class TestDuplicates:
    ROW = ("192.0.2.1", 1234, "203.0.113.1", 445)

    def test_twice_within_the_window(self):
        """The same segment within 10 ms is dropped, also from one chunk to the next; later it is a retransmission."""
        found = Duplicates()

        assert [True, False] == found.keep(packets(self.ROW, self.ROW, ts=[0, 9_999], seq=7)).tolist()
        assert [True] == found.keep(packets(self.ROW, ts=20_000, seq=7)).tolist()
        assert 1 == found.found

    def test_what_differs_is_kept(self):
        """Another flag, sequence number or port is another segment; datagrams are all kept."""
        assert Duplicates().keep(packets(self.ROW, self.ROW, flags=[SYN, SYN | ACK])).all()
        assert Duplicates().keep(packets(self.ROW, self.ROW, seq=[1, 2])).all()
        assert Duplicates().keep(packets(self.ROW, ("192.0.2.1", 1235, "203.0.113.1", 445))).all()
        assert Duplicates().keep(packets(self.ROW, self.ROW, proto=17)).all()
