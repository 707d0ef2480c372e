"""``portkin doctor``: checks an installation from end to end, and says what to do."""

from __future__ import annotations

from pathlib import Path

import click

from portkin.commands.duration import Duration
from portkin.commands.settings_option import settings_option


@click.command()
@settings_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: verdict, findings, facts.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Write a .tar.gz for a bug report, without secrets.")
@click.option(
    "--timeout",
    type=Duration(0.1, 300),
    default="5s",
    show_default=True,
    metavar="DURATION",
    help="How long an answer may take.",
)
def doctor(file: Path | None, as_json: bool, bundle: Path | None, timeout: float) -> None:
    """Check an installation from end to end, and say what to do.

    Looks at Python and the extras, the settings and what they name, the table, the running sidecar, Zeek, nftables or
    Suricata, the databases and the clock. It changes nothing. As root it sees more.

    Exit status, as monitoring reads it: 0 works, 1 works with warnings, 2 does not work.
    """
    from portkin.doctor.checks import check
    from portkin.doctor.findings import STATUS, verdict
    from portkin.doctor.gathering import gather
    from portkin.doctor.report import as_text, to_json
    from portkin.numpy_threads import one_thread

    one_thread()
    facts = gather(file, timeout)
    findings = check(facts)
    click.echo(to_json(facts, findings) if as_json else as_text(facts, findings), nl=False)
    if bundle is not None:
        from portkin.doctor.bundle import write_bundle

        write_bundle(bundle, facts, findings)
        click.echo(f"{bundle}: written; read it before you send it", err=True)
    click.get_current_context().exit(STATUS[verdict(findings)])
