"""Pages and the drawings in them, the same for the same input."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def page(template: Path, **values: Any) -> str:
    """The page that a template makes of these values; texts are escaped, and a value that is missing is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(**values)


def svg_of(figure: Figure) -> str:
    """The figure as SVG, its letters as text."""
    import matplotlib

    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "portkin"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
