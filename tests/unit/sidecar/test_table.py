"""The table answers what was written into it, and nothing else passes for a table."""

import numpy as np
import pytest

from portkin.bundles.bundle_writer import write_bundle
from portkin.bundles.table import Neighbors, Rows, Table, default_table, write_table
from portkin.bundles.table_format import KIND, SCHEMA
from portkin.errors import BundleError, CutoffError
from portkin.net.ports import Port
from support.tables import small_table, table_with_chances

INF = np.inf


def rows(ports, neighbors, distances) -> Rows:
    """Rows of plain lists."""
    return Rows(np.array(ports, np.uint16), np.array(neighbors, np.uint16), np.array(distances, np.float32))


def tcp(*numbers: int) -> tuple[Port, ...]:
    """TCP ports."""
    return tuple(Port(number, "tcp") for number in numbers)


class TestNearest:
    def test_nearest_first(self, tmp_path):
        """The neighbors of a port come nearest first, with their distances."""
        table = small_table(tmp_path / "t")

        assert Neighbors(tcp(23, 2222, 80), (0.5, 1.0, 1.5)) == table.nearest(Port(22, "tcp"))

    def test_k(self, tmp_path):
        """k bounds the answer; a k above what is stored gives what is stored, and 0 nothing."""
        table = small_table(tmp_path / "t")

        assert tcp(23) == table.nearest(Port(22, "tcp"), 1).ports
        assert tcp(23, 2222, 80) == table.nearest(Port(22, "tcp"), 100).ports
        assert Neighbors((), ()) == table.nearest(Port(22, "tcp"), 0)

    def test_fewer_than_k(self, tmp_path):
        """A port with fewer neighbors than K has only these, and the filling never shows as port 0."""
        assert Neighbors(tcp(8080, 443), (0.25, 0.75)) == small_table(tmp_path / "t").nearest(Port(80, "tcp"), 3)

    def test_port_zero_can_be_a_neighbor(self, tmp_path):
        """Port 0 at a distance is a neighbor like others."""
        table = write_table(tmp_path / "t", {"tcp": rows([7], [[0]], [[2.0]])}, method="by hand")

        assert Neighbors(tcp(0), (2.0,)) == table.nearest(Port(7, "tcp"))

    @pytest.mark.parametrize("number", [0, 21, 23, 79, 65535])
    def test_port_never_seen(self, tmp_path, number):
        """A port that the table does not know has no neighbors; this is no error."""
        assert Neighbors((), ()) == small_table(tmp_path / "t").nearest(Port(number, "tcp"))

    def test_only_some_protocols(self, tmp_path):
        """A table can be loaded with some of its protocols, and then knows no port of the others."""
        small_table(tmp_path / "t")

        assert ["udp"] == list(Table.load(tmp_path / "t", ["udp"]).rows)
        assert Port(22, "tcp") not in Table.load(tmp_path / "t", ["udp"])

    def test_protocols_are_apart(self, tmp_path):
        """53/udp is known where 53/tcp is not, and a protocol without a table knows no port."""
        table = small_table(tmp_path / "t")
        only_tcp = write_table(tmp_path / "tcp", {"tcp": table.rows["tcp"]}, method="by hand")

        assert (Port(123, "udp"),) == table.nearest(Port(53, "udp")).ports
        assert () == table.nearest(Port(53, "tcp")).ports
        assert () == only_tcp.nearest(Port(53, "udp")).ports

    def test_refuses_negative_k(self, tmp_path):
        """A negative k is refused rather than read from the end."""
        with pytest.raises(ValueError, match="k = -1"):
            small_table(tmp_path / "t").nearest(Port(22, "tcp"), -1)

    def test_outlives_its_replacement(self, tmp_path):
        """A loaded table answers as before when another one takes its folder."""
        table = small_table(tmp_path / "t")
        other = small_table(tmp_path / "t", shift=1)

        assert tcp(23) == table.nearest(Port(22, "tcp"), 1).ports
        assert tcp(24) == other.nearest(Port(22, "tcp"), 1).ports
        assert table.id != other.id


class TestMatrix:
    def test_by_port_number(self, tmp_path):
        """The matrix has a row for every port, and -1 where there is no neighbor."""
        matrix = small_table(tmp_path / "t").matrix("tcp")

        assert ((65536, 3), np.int32) == (matrix.shape, matrix.dtype)
        assert [23, 2222, 80] == matrix[22].tolist()
        assert [8080, 443, -1] == matrix[80].tolist()
        assert 5 == (matrix >= 0).sum()

    def test_protocol_without_a_table(self, tmp_path):
        """A protocol that is not there has no neighbors at all."""
        table = write_table(tmp_path / "t", {"tcp": rows([7], [[9]], [[2.0]])}, method="by hand")

        assert (table.matrix("udp") == -1).all()


class TestRows:
    @pytest.mark.parametrize(
        ("ports", "neighbors", "distances", "says"),
        [
            ([2, 1], [[3], [3]], [[1], [1]], "not strictly increasing"),
            ([1, 1], [[3], [3]], [[1], [1]], "not strictly increasing"),
            ([1], [[3], [3]], [[1], [1]], "1 ports but 2 rows"),
            ([1], [[3, 4]], [[1]], "shapes"),
            ([1], [3], [1], "shapes"),
            ([1], [[3, 4]], [[2, 1]], "unordered"),
            ([1], [[3, 4]], [[1, np.nan]], "not a number"),
            ([1], [[3]], [[-1]], "negative"),
            ([1], [[3, 4]], [[1, INF]], "a neighbor stands at distance"),
            ([1], [[1]], [[0]], "its own neighbor"),
            ([0], [[0]], [[0]], "its own neighbor"),
        ],
    )
    def test_refuses(self, ports, neighbors, distances, says):
        """Arrays that make no table are refused, saying why."""
        with pytest.raises(ValueError, match=says):
            rows(ports, neighbors, distances)

    def test_port_zero_with_few_neighbors(self):
        """The filling of port 0's row, which is 0 at +inf, is not taken for port 0 itself."""
        assert 2 == rows([0], [[5, 0]], [[1.0, INF]]).k

    def test_refuses_other_types(self):
        """Other dtypes would be read as other numbers."""
        with pytest.raises(ValueError, match="dtypes int64"):
            Rows(np.array([1]), np.array([[2]], np.uint16), np.array([[1]], np.float32))


class TestBundle:
    def test_says_what_it_is(self, tmp_path):
        """k, method, and what was recorded are the manifest's."""
        table = write_table(
            tmp_path / "t", {"udp": rows([5], [[6, 0]], [[1, INF]])}, method="by hand", about={"options": {"a": 1}}
        )

        assert (2, "by hand", {"a": 1}) == (table.k, table.method, table.manifest.about["options"])

    def test_empty(self, tmp_path):
        """A table of no ports is a table; nothing is near anything."""
        none = Rows(np.empty(0, np.uint16), np.empty((0, 4), np.uint16), np.empty((0, 4), np.float32))

        table = write_table(tmp_path / "t", {"tcp": none}, method="by hand")

        assert (4, ()) == (table.k, table.nearest(Port(80, "tcp")).ports)

    def test_refuses_different_k(self, tmp_path):
        """Protocols with different K are refused before anything is written."""
        with pytest.raises(ValueError, match=r"\[1, 2\]"):
            write_table(
                tmp_path / "t",
                {"tcp": rows([1], [[2]], [[1]]), "udp": rows([1], [[2, 3]], [[1, 1]])},
                method="by hand",
            )
        assert not (tmp_path / "t").exists()

    def test_damaged(self, tmp_path):
        """A changed byte in an array is noticed when the table is loaded."""
        small_table(tmp_path / "t")
        file = tmp_path / "t" / "tcp-steps.npy.gz"
        file.write_bytes(file.read_bytes()[:-1] + b"\xff")

        with pytest.raises(BundleError, match=r"tcp-steps\.npy\.gz: damaged, its sha256"):
            Table.load(tmp_path / "t")

    @pytest.mark.parametrize(
        ("about", "arrays", "says"),
        [
            ({"k": 1, "method": "x", "ports": {}}, {}, "do not fit the manifest's k = 1"),
            ({"method": "x"}, {"ports": [1], "steps": [[2]], "distances": [[1]]}, "'k'"),
            ({"k": 1}, {"ports": [1], "steps": [[2]], "distances": [[1]]}, "'method'"),
            ({"k": 1, "method": "x"}, {"ports": [1], "steps": [[2]], "distances": [[1]]}, "'ports'"),
            ({"k": 2, "method": "x", "ports": {"tcp": 1}}, {"ports": [1], "steps": [[2]], "distances": [[1]]}, "k = 2"),
            ({"k": 1, "method": "x"}, {"ports": [2, 1], "steps": [[9], [9]], "distances": [[1], [1]]}, "increas"),
            ({"k": 1, "method": "x"}, {"ports": [1], "steps": [[2]]}, "no tcp-distances.npy"),
        ],
    )
    def test_whole_bundle_that_is_no_table(self, tmp_path, about, arrays, says):
        """A bundle that agrees with itself but holds no usable table is refused, saying what to do."""
        types = {"ports": np.uint16, "steps": np.uint16, "distances": np.float32}
        with write_bundle(tmp_path / "t", kind=KIND, schema=SCHEMA, about=about) as folder:
            for name, values in arrays.items():
                np.save(folder / f"tcp-{name}.npy", np.array(values, types[name]))

        with pytest.raises(BundleError, match=f"{says}.*build"):
            Table.load(tmp_path / "t")


class TestDefault:
    def test_ships_and_knows_the_usual_ports(self):
        """The default table has 32 neighbors per port and a cut-off, and the web's ports near each other."""
        table = default_table()

        assert 32 == table.k
        assert table.cutoff is not None
        assert 0 < table.cutoff < 0.1
        assert {443, 8080} <= {port.number for port in table.nearest(Port(80, "tcp"), 4).ports}
        assert {"inputs", "options", "counts", "versions"} <= set(table.manifest.about)

    def test_tcp_and_udp(self):
        """Both protocols have a table."""
        assert {"tcp", "udp"} == set(default_table().rows)


class TestChances:
    """22/tcp -> 23 with a chance of 0.5, 2222 with 0.25, 80 with 0.01."""

    @pytest.fixture
    def chancy(self, tmp_path):
        return table_with_chances(tmp_path / "t", cutoff=0.2)

    @pytest.mark.parametrize(
        ("k", "min_chance", "expected"),
        [
            (32, None, [23, 2222]),  # the table recommends 0.2
            (1, None, [23]),
            (32, 0.0, [23, 2222, 80]),
            (32, 0.3, [23]),
            (32, 1.0, []),
        ],
    )
    def test_predicted_is_what_reaches_the_cutoff(self, chancy, k, min_chance, expected):
        """Of the k nearest those are predicted that reach the cut-off; without one, that which the table recommends."""
        found = chancy.predicted(Port(22, "tcp"), k, min_chance)

        assert expected == [port.number for port in found.ports]
        assert [0.5, 0.25, 0.01][: len(expected)] == pytest.approx(found.chances, abs=1e-6)

    @pytest.fixture
    def table(self, tmp_path):
        return small_table(tmp_path / "without")

    def test_nothing_recommended(self, tmp_path, table):
        """Where no cut-off is known, the nearest three are predicted: the paper's K."""
        without = table_with_chances(tmp_path / "u")

        assert ((3, 0.0), (2, 0.0)) == (without.cut(32), without.cut(2))
        assert (3, 0.0) == table.cut(32)
        assert () == table.predicted(Port(22, "tcp"), 3).chances

    def test_no_chances_to_cut_by(self, table):
        """A table without chances is not cut by one; by 0, which cuts nothing, it is."""
        with pytest.raises(CutoffError, match=r"has no chances.*--method kin"):
            table.predicted(Port(22, "tcp"), 3, 0.1)
        assert 3 == len(table.predicted(Port(22, "tcp"), 32, 0.0).ports)
        with pytest.raises(CutoffError, match="no chances"):
            table.above(0.1)
        assert table is table.above(0.0)

    @pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan"), float("inf")])
    def test_no_chance(self, chancy, wrong):
        """A cut-off outside 0..1 is refused."""
        with pytest.raises(CutoffError, match=r"between 0 \(nothing is cut\) and 1"):
            chancy.predicted(Port(22, "tcp"), 3, wrong)

    def test_above(self, chancy):
        """The entries below are gone, from the rows too."""
        cut = chancy.above(0.2)

        assert [23, 2222] == [port.number for port in cut.nearest(Port(22, "tcp")).ports]
        assert [[23, 2222, -1]] == cut.matrix("tcp")[[22]].tolist()

    @pytest.mark.parametrize("about", [{"chances": {}}, {"chances": 1}, {"cutoff": {"min_chance": 2}}, {"cutoff": {}}])
    def test_damaged_manifest(self, tmp_path, about):
        """A manifest whose chances or cut-off make no sense is refused, with the remedy."""
        with pytest.raises(BundleError, match="build it again"):
            write_table(tmp_path / "t", {"tcp": rows([7], [[9]], [[2.0]])}, method="kin", about=about)

    def test_older_schema(self, tmp_path, chancy):
        """A table of the schema before chances is refused, with the remedy: this version, which it is of, is none."""
        manifest = tmp_path / "t" / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"schema": 3', '"schema": 2'))

        with pytest.raises(
            BundleError, match=r"schema 2, but .* reads schema 3; make it again with `portkin table build`$"
        ):
            Table.load(tmp_path / "t")
