"""Durations on the command line."""

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from portkin.commands.duration import Duration, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0.5", 0.5),
        ("1e3", 1000),
        ("250ms", 0.25),
        ("90s", 90),
        ("30m", 30 * 60),
        ("4h", 4 * 3600),
        ("1.5h", 5400),
        ("7d", 7 * 86_400),
        ("2w", 14 * 86_400),
        ("1d12h", 36 * 3600),
        (" 1H30M ", 5400),
    ],
)
def test_forms(text, seconds):
    """Seconds alone, or a sum of numbers with units."""
    assert seconds == seconds_of(text)


@pytest.mark.parametrize("text", ["", "nan", "inf", "-inf", "h", "4 hours", "4h 30m", "4h30", "-4h", "1y", "1,5h"])
def test_no_duration(text):
    """Anything else is refused, also what is a float but no time."""
    with pytest.raises(ValueError, match="is no duration"):
        seconds_of(text)


@given(st.floats(0, 1e9))
def test_a_number_is_its_seconds(seconds):
    """What was valid before units were is read as it was."""
    assert seconds == seconds_of(str(seconds))


@pytest.mark.parametrize(("given_", "status", "said"), [
    ("4h", 0, "14400.0"),
    ("59s", 2, "59.0 is not in the range x>=60"),
    ("4 hours", 2, "'4 hours' is no duration; write seconds, or units, as 90, 30m, 4h or 1d12h"),
])  # fmt: skip
def test_option(given_, status, said):
    """An option's range is in seconds; what is refused is named, with what to write."""

    @click.command()
    @click.option("--for", "seconds", type=Duration(60))
    def command(seconds):
        click.echo(seconds)

    ran = CliRunner().invoke(command, ["--for", given_])
    assert (status, True) == (ran.exit_code, said in ran.output)
