"""``portkin nft``: portkin's table, by hand."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from portkin.commands.blocks import blocks
from portkin.commands.nft import nft
from support.netns import private_network

SRC = "203.0.113.5"


def test_the_table_can_be_printed_without_touching_anything(tmp_path):
    """`nft setup --print` shows the commands."""
    (tmp_path / "p.yaml").write_text("enforce: {nftables: {hook: forward}}")
    printed = CliRunner().invoke(nft, ["setup", "--print", "-c", str(tmp_path / "p.yaml")], catch_exceptions=False)
    assert "type filter hook forward priority -310; policy accept;" in printed.output


@pytest.mark.root
def test_the_kernel_is_shown_and_torn_down(root, tmp_path):
    """`nft show` lists what the kernel holds, as text and JSON; after a teardown the table is gone."""
    config = tmp_path / "p.yaml"
    config.write_text(json.dumps({"enforce": {"backend": "nftables", "database": str(tmp_path / "b")}}))

    def run(group, *arguments):
        return CliRunner().invoke(group, [*arguments, "-c", str(config)])

    with private_network():
        run(blocks, "add", SRC, "80", "--for", "600")
        total, row = map(json.loads, run(nft, "show", "--json").output.splitlines())
        assert ({"blocks": 1, "packets": 0, "bytes": 0}, SRC, "80/tcp") == (total, row["src"], row["port"])
        assert 590 < row["seconds"] <= 600
        assert run(nft, "show").output.startswith("1 block; 0 packets, 0 bytes dropped\n203.0.113.5 80/tcp")
        assert 0 == run(nft, "teardown").exit_code
        assert "portkin nft setup" in str(run(nft, "show").exception)
