"""Options that the commands about a table have in common."""

from __future__ import annotations

from pathlib import Path

import click

from portkin.bundles.table_format import default_path

FOLDER = click.Path(path_type=Path)
table_option = click.option(
    "-t", "--table", "folder", type=FOLDER, default=default_path, show_default="the table that ships with portkin",
    metavar="FOLDER", help="The table bundle to read.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
