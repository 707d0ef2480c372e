"""``portkin config``: checks a file, shows what is in force, prints a sample."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from portkin.commands.config import config
from portkin.config.schema import SAMPLE, Config, load_config
from portkin.errors import ConfigError


def test_the_sample_is_printed_as_it_is():
    """`--sample` prints the documented file, comments and all."""
    assert SAMPLE.read_text() == CliRunner().invoke(config, ["--sample"]).output


def test_the_printed_sample_is_a_valid_file(tmp_path):
    """What `--sample` prints can be used as it is, and means the defaults."""
    file = tmp_path / "portkin.yaml"
    file.write_text(CliRunner().invoke(config, ["--sample"]).output)
    assert Config() == load_config(file)


def test_what_is_in_force_is_shown(tmp_path):
    """With a file, the output is the defaults with the file's values over them, as YAML."""
    file, shown = tmp_path / "portkin.yaml", tmp_path / "shown.yaml"
    file.write_text("metrics: {enabled: false}\n")
    shown.write_text(CliRunner().invoke(config, ["-c", str(file)]).output)
    assert load_config(file) == load_config(shown) != Config()


def test_a_wrong_file_is_an_error(tmp_path):
    """A file with a mistake raises the error that names the line, for the command line to print."""
    file = tmp_path / "portkin.yaml"
    file.write_text("metrics:\n  port: 70000\n")
    with pytest.raises(ConfigError, match=r"portkin\.yaml:2: metrics\.port is 70000; write a number from 0 to 65535"):
        CliRunner().invoke(config, ["-c", str(file)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "enforce:\n  limits:\n    never_ports: [22/tpc]\n",
            "3: enforce.limits.never_ports has '22/tpc' in it; write a port such as 22/tcp",
        ),
        ("enforce:\n  nftables: {table: a-b}\n", "2: enforce.nftables.table is 'a-b': write letters, digits and _"),
        (
            "enforce:\n  nftables: {table: set}\n",
            "2: enforce.nftables.table is 'set': a keyword of nft; write another word, such as portkin_set",
        ),
        ("metrics:\n  host: ''\n", "2: metrics.host is empty: that is every address; write 127.0.0.1"),
        ("zeek:\n  url: htp:/x\n", "2: zeek.url: 'htp:/x' is no address of a WebSocket; write ws://"),
        ("zeek:\n  url: 'ws://[bad'\n", "2: zeek.url: 'ws://[bad' is no address of a WebSocket; write ws://"),
        ("zeek:\n  broker: a..b:1\n", "2: zeek.broker: 'a..b:1' is no Broker address; write host:port"),
        ("table:\n  path: gone\n", "2: table.path: gone: not a portkin-table bundle (there is no such folder)"),
        ("rates:\n  model: gone\n", "2: rates.model: gone: not a portkin-rates bundle (there is no such folder)"),
        ("zeek:\n  url: wss://zeek/\n  tls:\n    ca: gone.pem\n", "4: zeek.tls: gone.pem: cannot be used for TLS"),
    ],
)
def test_what_serve_would_refuse_is_an_error(tmp_path, text, message):
    """A value that looks right but cannot be used is refused as by `portkin serve`, with the line."""
    file = tmp_path / "portkin.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        CliRunner().invoke(config, ["-c", str(file)], catch_exceptions=False)
    assert str(refused.value).startswith(f"{file}:{message}")


@pytest.mark.parametrize("name", ["enforce", "rates"])
def test_a_database_that_is_not_ours_is_refused(tmp_path, name):
    """What a setting names in the place of a database is named with its line, and left as it is."""
    file, other = tmp_path / "portkin.yaml", tmp_path / "some.conf"
    other.write_text("a setting of something else\n")
    file.write_text(f"{name}:\n  database: {other}\n")
    ran = CliRunner().invoke(config, ["-c", str(file)])
    assert isinstance(ran.exception, ConfigError)
    assert str(ran.exception).startswith(f"{file}:2: {name}.database: {other}: this is not a ")
    assert "a setting of something else\n" == other.read_text()
    file.write_text(f"{name}:\n  database: {tmp_path / 'new.sqlite'}\n")
    assert 0 == CliRunner().invoke(config, ["-c", str(file)]).exit_code
