"""Settings: what is refused says the line, the value and the remedy; the later source wins."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest

from portkin.config.loading import Networks, build, setting, to_yaml
from portkin.config.schema import SAMPLE, BackoffConfig, Config, load_config
from portkin.config.sections import Given, Section, read_yaml
from portkin.errors import ConfigError, TransportError


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Writes the text to portkin.yaml and loads it, with flags over it."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(text, flags=None):
        Path("portkin.yaml").write_text(text, encoding="utf-8")
        return load_config(Path("portkin.yaml"), flags)

    return write_and_load


def test_without_a_file_the_defaults_hold():
    """No file and no flag give the defaults."""
    assert Config() == load_config()


def test_the_sample_is_the_defaults():
    """The documented sample names every setting, with its default."""
    sample = read_yaml(SAMPLE.read_text(encoding="utf-8"), "sample")
    assert Config() == build(Config, sample)
    assert _plain(read_yaml(to_yaml(Config()), "all")) == _plain(sample)


def _plain(item):
    return {key: _plain(value) for key, value in item.items.items()} if isinstance(item, Section) else item.value


def test_the_file_wins_over_the_defaults(load):
    """What the file says holds; what it leaves out keeps its default."""
    config = load("zeek:\n  backoff:\n    cap: 3\n")
    assert BackoffConfig(first=0.2, cap=3.0) == config.zeek.backoff
    assert Config().table == config.table


def test_flags_win_over_the_file(load):
    """A flag beats the file; a flag that was not given changes nothing."""
    config = load(
        "zeek: {url: 'ws://file/', outbox: 5}\n",
        {"zeek.url": Given("ws://flag/", "--url"), "zeek.transport": None},
    )
    assert ("ws://flag/", 5, "websocket") == (config.zeek.url, config.zeek.outbox, config.zeek.transport)


def test_an_empty_file_is_the_defaults(load):
    """An empty file, and a section whose keys are all commented out, change nothing."""
    assert Config() == load("") == load("zeek:\n  # url: x\ntable:\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zeek:\n  ur1: x\n", "portkin.yaml:2: there is no setting 'zeek.ur1'; did you mean 'url'?"),
        ("zeke: {}\n", "portkin.yaml:1: there is no setting 'zeke'; did you mean 'zeek'?"),
        ("x: 1\n", "portkin.yaml:1: there is no setting 'x'; known here: zeek, table, metrics, page, log"),
        ("\nzeek:\n\n  outbox: many\n", "portkin.yaml:4: zeek.outbox is 'many'; write a whole number"),
        ("zeek:\n  outbox: 0\n", "portkin.yaml:2: zeek.outbox is 0; write a number from 1 to 10000000"),
        ("zeek:\n  outbox: 2.5\n", "portkin.yaml:2: zeek.outbox is 2.5; write a whole number"),
        ("zeek:\n  outbox: true\n", "portkin.yaml:2: zeek.outbox is True; write a whole number"),
        ("table:\n  poll: .nan\n", "portkin.yaml:2: table.poll is nan; write a number from 0.05 to 86400.0"),
        ("zeek:\n  transport: carrier pigeon\n",
         "portkin.yaml:2: zeek.transport is 'carrier pigeon'; write websocket or broker"),
        ("zeek:\n  url: 5\n", "portkin.yaml:2: zeek.url is 5; write text (in quotes if it looks like a number)"),
        ("zeek:\n  url: {a: 1}\n", "portkin.yaml:2: zeek.url is a single value, not a section; write text"),
        ("zeek: 5\n", "portkin.yaml:1: zeek is a section; put its keys under it, indented"),
        ("table:\n  path: 5\n", "portkin.yaml:2: table.path is 5; write the path of a file or folder, or null"),
        ("metrics:\n  enabled: maybe\n", "portkin.yaml:2: metrics.enabled is 'maybe'; write true or false"),
        ("log: {level: info}\nlog: {level: debug}\n", "portkin.yaml:2: 'log' is given a second time"),
        ("zeek:\n  url: [\n", "portkin.yaml:3: not YAML"),
        ("- a\n", "portkin.yaml:1: the file is not a mapping"),
        ("? [a]\n: b\n", "portkin.yaml:1: a key must be a plain word"),
        ("zeek:\n  url: 2024-02-30\n", "portkin.yaml:2: '2024-02-30' cannot be read as 'timestamp'; correct it"),
        ("metrics:\n  port: 0x_\n", "portkin.yaml:2: '0x_' cannot be read as 'int'; correct it"),
        ("metrics:\n  port: !!int ''\n", "portkin.yaml:2: '' cannot be read as 'int'; correct it"),
        ("log:\n  level: !x info\n", "portkin.yaml:2: '!x' is not a known tag; leave it out"),
        ("rates:\n  database: ~nosuchuser/x.sqlite\n",
         "portkin.yaml:2: rates.database is '~nosuchuser/x.sqlite' (there is no account 'nosuchuser' here); write the"),
        ("rates:\n  grace: 1" + 400 * "0" + "\n", "portkin.yaml:2: rates.grace is 1000"),
        ('table:\n  path: "a\\0b"\n',
         "portkin.yaml:2: table.path is 'a\\x00b' (no path has a NUL in it); write the path of a file or folder"),
        ('enforce:\n  database: "\\ud800"\n', "portkin.yaml:2: enforce.database is '\\ud800' ("),
        ("zeek: &a\n  tls: *a\n", "portkin.yaml:1: something lies within itself; write it without & and *"),
        ("log:\n  level: \x1b[31m\n", "portkin.yaml:2: not YAML: it may not hold '\\x1b'; remove that"),
        ("zeek: " + 5000 * "[", "portkin.yaml: not YAML that can be read: nested too deeply"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_with_line_value_and_remedy(load, text, message):
    """An unknown key, a wrong type and a value out of range are each refused where they stand."""
    with pytest.raises(ConfigError) as refused:
        load(text)
    assert str(refused.value).startswith(message)


def test_a_wrong_flag_is_refused_by_its_name(load):
    """A flag out of range is named as the flag, not as a line of the file."""
    with pytest.raises(ConfigError) as refused:
        load("", {"zeek.outbox": Given(0, "--outbox")})
    assert "--outbox: zeek.outbox is 0; write a number from 1 to 10000000" == str(refused.value)


def test_a_check_that_fails_is_named_with_its_setting_and_place(load, monkeypatch):
    """What a check refuses is reported with the setting and where it stands: a line, or a flag over it."""

    def refuse(config):
        raise TransportError(f"{config.zeek.url!r} is no address")

    Path("portkin.yaml").write_text("zeek:\n  outbox: 5\n  url: file\n")
    for flags, place, value in (
        ({}, "portkin.yaml:3", "file"),
        ({"zeek.url": Given("flag", "--url")}, "--url", "flag"),
    ):
        with pytest.raises(ConfigError) as refused:
            load_config(Path("portkin.yaml"), flags, {"zeek.url": refuse})
        assert f"{place}: zeek.url: {value!r} is no address" == str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    """A file that cannot be read is an error that names it and says what to do."""
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read .*portkin config --sample"):
        load_config(tmp_path / "gone.yaml")


@dataclass(frozen=True)
class Nets:
    never: tuple[Networks, ...] = ()
    share: float | None = setting(None, low=0.0)


def test_lists_of_networks_are_read():
    """A list of networks becomes a tuple of networks."""
    given = read_yaml("never: [192.0.2.0/24, '2001:db8::/32']\n", "f")
    assert Nets(never=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))) == build(Nets, given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("never: [192.0.2.1/24]\n", "f:1: never has '192.0.2.1/24' in it; write a network such as"),
        ("never:\n- 192.0.2.0/24\n- 192.0.2.1/24\n", "f:3: never has '192.0.2.1/24' in it; write a network such as"),
        ("never:\n- 192.0.2.0/24\n- 2024-02-30\n", "f:3: '2024-02-30' cannot be read as 'timestamp'"),
        ("never: !x [192.0.2.0/24]\n", "f:1: '!x' is not a known tag; leave it out"),
        ("never: 192.0.2.0/24\n", "f:1: never is '192.0.2.0/24'; write a list"),
        ("share: -1\n", "f:1: share is -1; write a number of 0.0 or more"),
    ],
)
def test_wrong_items_and_open_ranges_are_refused(text, message):
    """A list with one bad item, a value in place of a list, and a number below an open range are refused."""
    with pytest.raises(ConfigError) as refused:
        build(Nets, read_yaml(text, "f"))
    assert str(refused.value).startswith(message)


def test_what_is_printed_can_be_read_back(load):
    """The settings in force, printed as YAML, give the same settings again."""
    config = load("table: {path: /var/lib/portkin}\nlog: {level: debug}\n")
    assert config == load(to_yaml(config))
