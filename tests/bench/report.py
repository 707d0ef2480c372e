"""The results of a run: a value, its JSON, and the Markdown that people read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from bench.figures import Figure, Size, number, quantity
from portkin.files import replacing

SCHEMA = "portkin.bench/1"
MARK = "<!-- Below this line tests/bench/run.py writes. -->\n"


@dataclass(frozen=True)
class Bench:
    """What one benchmark said.

    Attributes:
        name: that of its module, without "bench_".
        about: the first line of its documentation.
        state: running, ok or failed.
        before, after: load averages over 1 minute: how much else the machine had to do.
        wall, cpu: seconds it took, by the clock and of the processor.
        error: its last words where it failed.
    """

    name: str
    about: str
    state: str = "running"
    before: float = 0.0
    after: float = 0.0
    wall: float = 0.0
    cpu: float = 0.0
    error: str = ""
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Results:
    """A run. It is complete when no benchmark is left to run."""

    size: Size
    began: str
    machine: dict[str, str]
    complete: bool = False
    benches: tuple[Bench, ...] = field(default=())

    def having(self, bench: Bench) -> Results:
        """With this benchmark in the place of the one of its name, or at the end."""
        if any(other.name == bench.name for other in self.benches):
            return replace(self, benches=tuple(bench if b.name == bench.name else b for b in self.benches))
        return replace(self, benches=(*self.benches, bench))

    def failed(self) -> list[Bench]:
        """Those that did not come to their end."""
        return [bench for bench in self.benches if bench.state != "ok"]


def to_json(results: Results) -> str:
    """As text; `from_json` reads it again."""
    return json.dumps({"schema": SCHEMA, **asdict(results)}, indent=1) + "\n"


def from_json(text: str) -> Results:
    """What `to_json` wrote. ValueError for another schema."""
    fields = json.loads(text)
    if (found := fields.pop("schema", None)) != SCHEMA:
        raise ValueError(f"schema {found!r}: {SCHEMA!r} is needed")
    benches = tuple(
        Bench(**(bench | {"figures": tuple(Figure(**figure) for figure in bench["figures"])}))
        for bench in fields["benches"]
    )
    return Results(**(fields | {"benches": benches}))


def to_markdown(results: Results) -> str:
    """A table per benchmark, after a word about the machine."""
    about = "; ".join(f"{name} {value}" for name, value in results.machine.items())
    seconds = sum(bench.wall for bench in results.benches)
    lines = [
        f"Size {results.size}, {results.began} (UTC), {number(seconds)} s in all"
        f"{'' if results.complete else '. **Not complete.**'}",
        "",
        f"Machine: {about}.",
    ]
    for bench in results.benches:
        lines += ["", f"### {bench.name}", "", bench.about, ""]
        if bench.figures:
            lines += [
                "| figure | portkin | by processor time | peer | its | by processor time | ratio | CPU | n | note |"
            ]
            lines += ["|---|--:|--:|---|--:|--:|--:|--:|--:|---|"]
            lines += [_row(figure) for figure in bench.figures]
        if bench.state != "ok":
            lines += ["", f"**{bench.state}** {bench.error}".rstrip()]
        lines += ["", f"Load average {bench.before:.1f} before, {bench.after:.1f} after; {number(bench.wall)} s, "
                  f"{number(bench.cpu)} s of processor time."]  # fmt: skip
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    def shown(value: float | None) -> str:
        return "" if value is None else quantity(value, figure.unit)

    cells = (
        figure.name,
        shown(figure.value),
        shown(figure.cpu),
        figure.peer,
        shown(figure.peer_value),
        shown(figure.peer_cpu),
        *("" if ratio is None else number(ratio) for ratio in (figure.ratio, figure.cpu_ratio)),
        str(figure.n or ""),
        figure.note,
    )
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def write(results: Results, folder: Path) -> None:
    """``results.json`` and ``results.md`` in the folder, each whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("results.json", to_json(results)), ("results.md", to_markdown(results))):
        with replacing(folder / name) as aside:
            aside.write_text(text, encoding="utf-8")


def write_into(results: Results, document: Path) -> None:
    """Replace what stands below the mark in a document. ValueError where it has none."""
    head, mark, _ = document.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"{document} has no line {MARK.strip()!r} to write below")
    with replacing(document) as aside:
        aside.write_text(f"{head}{mark}\n{to_markdown(results)}", encoding="utf-8")
