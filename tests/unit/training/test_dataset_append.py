"""Adding to a dataset: all of it or nothing, and one run at a time."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from portkin.errors import InputError
from portkin_training.core.dataset import load, manifest
from portkin_training.core.dataset_writer import ProbesWriter
from support.days import add, day_of


class TestAppend:
    def test_adds(self, tmp_path):
        """A dataset that was added to is that of both recordings, in order, with all sources named."""
        grown = add(add(tmp_path / "grown", 0, 2), 1)

        probes, whole = load(grown), load(add(tmp_path / "whole", 0, 2, 1))
        assert np.array_equal(whole.ts, probes.ts)
        assert list(range(1200)) == probes.seq.tolist()
        said = manifest(grown)
        assert {"2026-01-01": 400, "2026-01-02": 400, "2026-01-03": 400} == said["days"]
        assert ["0.pcap", "2.pcap", "1.pcap"] == [source["name"] for source in said["about"]["sources"]]
        assert [grown.name, "whole"] == sorted(path.name for path in tmp_path.iterdir())

    def test_failure_changes_nothing(self, tmp_path):
        """Where adding fails the dataset is as it was."""
        dataset = add(tmp_path / "probes", 0)
        before = {str(path): path.stat().st_ino for path in dataset.rglob("*")}

        with pytest.raises(RuntimeError), ProbesWriter(dataset, append=True) as writer:
            writer.write(day_of(1))
            raise RuntimeError

        assert before == {str(path): path.stat().st_ino for path in dataset.rglob("*")}
        assert [dataset] == [*tmp_path.iterdir()]

    def test_two_at_once(self, tmp_path):
        """Of two that add at the same time the later one is refused, so that nothing is lost."""
        dataset = add(tmp_path / "probes", 0)

        with pytest.raises(InputError, match="changed by another run"), ProbesWriter(dataset, append=True) as writer:
            writer.write(day_of(2))
            add(dataset, 1)

        assert 800 == manifest(dataset)["rows"]

    def test_command(self, tmp_path):
        """``portkin ingest --append`` makes a dataset and adds to it."""
        from portkin_training.commands.ingest import ingest

        for day in (1, 2):
            (tmp_path / "day.csv").write_text(f"ts,src,dst,dport\n2026-01-0{day} 00:00:01,192.0.2.1,192.0.2.9,2{day}\n")
            arguments = [tmp_path / "day.csv", "-o", tmp_path / "probes", "--append", "--proto", "tcp", "--json"]
            done = CliRunner().invoke(ingest, [str(a) for a in arguments], catch_exceptions=False)
            assert 0 == done.exit_code, done.output

        assert 1 == json.loads(done.stdout)["probes"]["6"]
        assert [21, 22] == load(tmp_path / "probes").dport.tolist()
