"""A model of sources: what it answers, and what it refuses."""

import json
from dataclasses import replace
from math import exp

import numpy as np
import pytest

from portkin.bundles.manifest import MANIFEST
from portkin.bundles.table import Rows, Table, write_table
from portkin.bundles.table_format import BY_SOURCE
from portkin.errors import BundleError
from portkin.net.ports import CODES, PORTS
from support.source_models import learnt_by_hand, table_by_source
from support.tables import table_with_chances


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return table_by_source(tmp_path_factory.mktemp("tables") / "table")


def logistic(odds: float) -> float:
    return 1 / (1 + exp(-odds))


class TestRank:
    """What is predicted."""

    def test_a_stride(self, table):
        """After 100 and 110, the step of 10 once more stands first, twice is no step of the source's own."""
        ports, chances = table.source_model.rank([110, 100], 2, 5.0, 3, 0.0)
        assert [120, 106, 107] == ports  # no row knows any of them
        assert [logistic(-2 + 3), logistic(-2), logistic(-2)] == pytest.approx(chances)

    def test_rows_of_the_last_ports(self, table):
        """Ports of the last rows stand by the chance that any of them comes true."""
        ports, chances = table.source_model.rank([23, 22], 2, 5.0, 2, 0.0)
        # 2222 follows 22 with a chance of 0.25 and 23 with 0.4: 1 - 0.75 * 0.6 = 0.55. 24 is the step of 1 once more.
        assert [24, 2222] == ports
        assert [logistic(-2 + 3), logistic(-2 + 1 + 2)] == pytest.approx(chances)

    def test_what_was_probed_is_not_predicted(self, table):
        """No recent port is in an answer, whatever its chance, though it lie beyond the last three."""
        recent = [22, 21, 20, 19, 2222, 23, 25]
        ports, _ = table.source_model.rank(recent, 9, 60.0, 100, 0.0)
        assert ports
        assert not set(ports) & set(recent)

    def test_where_nothing_is_left(self, table):
        """No row knows ports 0, 1 and 2, the step leads below 0, and all numbers around were probed."""
        assert ([], []) == table.source_model.rank([0, 1, 2, 3, 4], 5, 60.0, 10, 0.0)

    def test_sorted(self, table):
        """Chances lie between 0 and 1 and fall; of equal ones the lower port comes first."""
        ports, chances = table.source_model.rank([23, 22, 80], 5, 1000.0, 100, 0.0)
        assert all(0 <= chance <= 1 for chance in chances)
        assert sorted(zip([-chance for chance in chances], ports, strict=True)) == list(
            zip([-chance for chance in chances], ports, strict=True)
        )

    def test_one_port(self, table):
        """A source that probed a single port gets what the table itself predicts, cut as asked."""
        ports, chances = table.source_model.rank([22], 1, 0.0, 8, 0.2)
        assert [23, 2222] == ports
        assert [0.5, 0.25] == pytest.approx(chances, rel=1e-6)
        assert ([], []) == table.source_model.rank([4000], 1, 0.0, 8, 0.0)

    def test_protocols_are_apart(self, table):
        """Only ports of the latest one's protocol are predicted, in codes, and those of the other are no step of it."""
        ports, _ = table.source_model.rank([PORTS + 53, 22, 23], 3, 9.0, 50, 0.0)
        assert all(PORTS <= port < CODES for port in ports)
        assert set(ports) == {PORTS + near for near in (123, 49, 50, 51, 52, 54, 55, 56, 57)}

    def test_full_answers(self, tmp_path):
        """Of more candidates than an answer holds, half are the likeliest, and half others that no row of the ports
        before holds; in order of chance all the same.

        1000's row leads to 2000 .. 2049 with chances from 0.6 (odds of 1, by `learnt_by_hand`) and 1001's to 2000 ..
        2039: those are not new after 1001. The 10 from 2040 and six numbers around 1000 are.
        """
        rows = {"tcp": long_rows({1000: range(2000, 2050), 1001: range(2000, 2040)})}
        table = write_table(tmp_path / "table", rows, method="kin", about=ABOUT, by_source=learnt_by_hand())
        ports, chances = table.source_model.rank([1000, 1001], 2, 5.0, 32, 0.0)
        likeliest = [999, *range(2000, 2015)]  # 999 is the step of -1 once more
        others = [996, 997, 998, 1002, 1003, 1004, *range(2040, 2050)]
        assert 32 == len(ports)
        assert {*likeliest, *others} == set(ports)
        assert sorted(chances, reverse=True) == chances
        assert ports[:8] == table.source_model.rank([1000, 1001], 2, 5.0, 8, 0.0)[0]

    def test_recommended(self, table):
        """-1 stands for the cut-off of the manifest, which is 0.5 here."""
        ports, chances = table.source_model.rank([23, 22], 2, 5.0, 50)
        assert table.source_model.rank([23, 22], 2, 5.0, 50, 0.5) == (ports, chances)
        assert [24, 2222] == ports

    def test_calibrated(self, tmp_path):
        """What the odds come to is read off the calibration: halfway between (-2, -4) and (2, 0) lies (0, -2)."""
        model = table_by_source(tmp_path / "table", learnt_by_hand([(-2.0, -4.0), (2.0, 0.0)])).source_model
        _, chances = model.rank([110, 100], 2, 5.0, 2, 0.0)
        assert [logistic(-1), logistic(-4)] == pytest.approx(chances)  # log odds of 1 and -2

    def test_ends_of_the_range(self, table):
        """Steps that leave the port numbers lead nowhere."""
        ports, _ = table.source_model.rank([PORTS - 1, PORTS - 3], 2, 1.0, 50, 0.0)
        assert {PORTS - 5, PORTS - 4, PORTS - 2} == set(ports)
        low, _ = table.source_model.rank([0, 2], 2, 1.0, 50, 0.0)
        assert {1, 3, 4} == set(low)

    def test_no_memory(self, table, tmp_path):
        """An answer depends on the question alone: asked in another order, and of the table loaded again, it is the
        same."""
        questions = [([23, 22], 2, 5.0), ([110, 100], 2, 5.0), ([22, 2222, 80], 7, 1e6)]
        first = [table.source_model.rank(*question, 20, 0.0) for question in questions]
        again = table_by_source(tmp_path / "again").source_model
        assert first[::-1] == [again.rank(*question, 20, 0.0) for question in questions[::-1]]

    @pytest.mark.parametrize(
        ("question", "says"),
        [
            (([], 1, 0.0, 3), "recent is empty"),
            (([22, 22], 2, 0.0, 3), "each port once"),
            (([22, CODES], 2, 0.0, 3), "each port once"),
            (([-1], 1, 0.0, 3), "each port once"),
            (([22, 23], 1, 0.0, 3), "probed = 1"),
            (([22], 1, float("nan"), 3), "elapsed = nan"),
            (([22], 1, -1.0, 3), "elapsed = -1"),
            (([22], 1, 0.0, -1), "n = -1"),
            (([22], 1, 0.0, 3, 1.5), "min_chance = 1.5"),
            (([22], 1, 0.0, 3, -0.5), "min_chance = -0.5"),
        ],
    )
    def test_refused(self, table, question, says):
        """What no source can have done is refused by its name."""
        with pytest.raises(ValueError, match=says):
            table.source_model.rank(*question)


def long_rows(of) -> Rows:
    """Rows of 50 ports at most, all with a chance of 0.6."""
    neighbors, distances = np.zeros((len(of), 50), np.uint16), np.full((len(of), 50), np.inf, np.float32)
    for at, row in enumerate(of.values()):
        neighbors[at, : len(row)], distances[at, : len(row)] = row, -np.log(0.6)
    return Rows(np.array([*of], np.uint16), neighbors, distances)


ABOUT = {"chances": {"horizon": 20_000.0}, "by_source": {"cutoff": {"min_chance": 0.5}}}
OF_THE_MODEL = (BY_SOURCE, "tcp-drawn.npy.gz", "udp-drawn.npy.gz")


def changed(folder, edit) -> None:
    """Edit the model's file, and have the manifest agree with it."""
    fields = json.loads((folder / BY_SOURCE).read_text())
    edit(fields)
    rewritten(folder, {BY_SOURCE: json.dumps(fields).encode()})


def rewritten(folder, files) -> None:
    """Give a bundle these files, and a manifest that agrees with them."""
    from portkin.bundles.bundle_writer import write_bundle

    manifest = json.loads((folder / MANIFEST).read_text())
    kept = {name: (folder / name).read_bytes() for name in manifest["files"]} | files
    with write_bundle(folder, kind=manifest["kind"], schema=manifest["schema"], about=manifest["about"]) as written:
        for name, content in kept.items():
            (written / name).write_bytes(content)


class TestBundle:
    """The part of a bundle that holds the model."""

    def test_none(self, tmp_path):
        """A table without a model loads as before."""
        assert table_with_chances(tmp_path / "table").source_model is None

    def test_static_answers_stay(self, table):
        """The table itself answers as without a model."""
        assert [23, 2222, 80] == table.matrix("tcp")[22].tolist()

    def test_cut_table_keeps_it(self, table):
        """Cutting the rows leaves the model."""
        assert table.source_model is table.above(0.3).source_model

    def test_one_protocol_alone(self, table, tmp_path):
        """A table of which one protocol is unpacked answers for that one."""
        table_by_source(tmp_path / "table")
        loaded = Table.load(tmp_path / "table", ["udp"])
        assert ([], []) == loaded.source_model.rank([23, 22], 2, 5.0, 50, 0.0)
        assert PORTS + 123 in loaded.source_model.rank([PORTS + 53, 22], 2, 5.0, 50, 0.0)[0]

    @pytest.mark.parametrize(
        ("edit", "says"),
        [
            (lambda fields: fields.update(table="0" * 12), "learnt for table 000000000000"),
            (lambda fields: fields.update(schema=99), "schema 99.*update portkin"),
            (lambda fields: fields.pop("trees"), "trees.*build the table again"),
            (lambda fields: fields["trees"].pop("base"), "base"),
            (lambda fields: fields["trees"]["feature"][0].__setitem__(0, 99), "feature that is none"),
            (lambda fields: fields["trees"]["threshold"][0].__setitem__(0, float("nan")), "not finite"),
            (lambda fields: fields["trees"]["threshold"].append([0.0, 0.0, 0.0]), "not questions"),
            (lambda fields: fields["trees"]["value"].pop(), "one for each answer"),
            (lambda fields: fields["features"].reverse(), "features"),
            (lambda fields: fields.update(calibration=[[0.0, 1.0], [1.0, 0.0]]), "does not rise"),
        ],
    )
    def test_refused(self, tmp_path, edit, says):
        """A model that is damaged, of another table or of another version is refused with the remedy."""
        table_by_source(tmp_path / "table")
        changed(tmp_path / "table", edit)
        with pytest.raises(BundleError, match=says):
            Table.load(tmp_path / "table")

    def test_a_model_of_another_table(self, tmp_path):
        """The model's files of one table in the bundle of another, which is consistent in itself, are refused."""
        table_by_source(tmp_path / "table")
        other = Table.load(tmp_path / "table").rows["udp"]
        write_table(tmp_path / "other", {"udp": other}, method="kin", by_source=learnt_by_hand(), about=ABOUT)
        taken = {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir() if path.name in OF_THE_MODEL}

        rewritten(tmp_path / "table", taken)

        with pytest.raises(BundleError, match=r"learnt for table [0-9a-f]{12}.*build the table again.*--no-by-source"):
            Table.load(tmp_path / "table")

    def test_a_changed_byte(self, tmp_path):
        """The model's file is verified as every other."""
        table_by_source(tmp_path / "table")
        path = tmp_path / "table" / BY_SOURCE
        path.write_bytes(path.read_bytes().replace(b"-2.0", b"-3.0", 1))
        with pytest.raises(BundleError, match=r"by-source\.json"):
            Table.load(tmp_path / "table")

    def test_shares_of_wrong_shape(self, tmp_path):
        """A share of sources is needed for every port."""
        learnt = replace(learnt_by_hand(), drawn={"tcp": np.zeros(3, np.float32), "udp": np.zeros(3, np.float32)})
        with pytest.raises(BundleError, match="share of sources"):
            table_by_source(tmp_path / "table", learnt)
