"""What a table's manifest says of the probes it was learnt from."""

from __future__ import annotations

import hashlib

import pytest

from portkin.errors import InputError
from portkin_training.tables.build import build_table
from portkin_training.tables.scans import ScanOptions
from support.datasets import dataset_of


def test_the_manifest_names_the_dataset_that_was_read(tmp_path):
    """The digest is that of the dataset's manifest, with its number of probes."""
    probes = dataset_of(tmp_path / "probes", [22, 23, 2222])
    table = build_table([probes], tmp_path / "table", k=3, options=ScanOptions(), method="shortest-path")
    (described,) = table.manifest.about["inputs"]
    assert hashlib.sha256((probes / "manifest.json").read_bytes()).hexdigest() == described["manifest_sha256"]
    assert 3 == described["rows"]


def test_no_table_names_a_dataset_that_it_is_not_from(tmp_path):
    """A dataset replaced while the table is built is refused by name, and nothing is written."""
    probes = dataset_of(tmp_path / "probes", [22, 23, 2222])

    def replacing(*_):
        dataset_of(probes, [80, 443, 8080, 8443], force=True)
        return {}

    with pytest.raises(InputError, match=r"probes: was replaced while the table was built"):
        build_table(
            [probes], tmp_path / "table", k=3, options=ScanOptions(), method="shortest-path", evaluate=replacing
        )
    assert not (tmp_path / "table").exists()
