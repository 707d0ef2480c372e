"""The files of the page, read once: few and small."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"
CHARTS = ("vendor/uPlot.esm.js", "vendor/uPlot.min.css")
"""What is taken from npm when the wheel is built (hatch_build.py); the page works without, but for one chart."""
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


NO_CHARTS = "none: portkin was built without npm; install npm, and portkin again"


def charts_there(folder: Path = FOLDER) -> bool:
    """Whether what draws charts is there."""
    return all((folder / name).is_file() for name in CHARTS)


class Assets:
    """Every file below the folder, by its path there; nothing else is ever read."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES and path.is_file()
        }
        self._tags = {name: f'"{hashlib.sha256(body).hexdigest()[:16]}"' for name, body in self._files.items()}

    def response(self, name: str, headers: Mapping[str, str]) -> Response:
        """The file; 304 where the client has it. HTTPException where there is none."""
        if name not in self._files:
            raise HTTPException(404)
        kept = {"ETag": self._tags[name], "Cache-Control": "no-cache"}
        if headers.get("if-none-match") == self._tags[name]:
            return Response(status_code=304, headers=kept)
        return Response(self._files[name], headers={**kept, "Content-Type": _TYPES[Path(name).suffix]})
