"""Serve the ranking screen's code as one script: the files in browser/, and its texts in every language.

Streamlit sends a component's html, css and js again with each run, 85 kB for each ranking. So it gets only `MOUNT`, a
few lines that import the script from the server. The script's address is a hash of its content: browsers load it once
and cache it, and after an update the address changes. The script is the same for everybody; prompts, completions,
names and settings are never part of it.
"""

import hashlib
import json
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from label_data.sentences import LANGUAGES
from workbench.wording import page_texts

_FILES = Path(__file__).with_name("browser")
_PARTS = (
    "elements.js",
    "texts.js",
    "reading.js",
    "marking.js",
    "ranking.js",
    "storage.js",
    "session.js",
    "tray.js",
    "sheet.js",
    "screen.js",
)
"""Joined in this order: a file may use the names of the files before it."""


def _text(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def _constant(name: str, value: object) -> str:
    return f"const {name} = {json.dumps(value, ensure_ascii=False)};"


SCRIPT = "\n".join(
    (
        _constant("PAGE", _text("ranker.html")),
        _constant("STYLE", _text("ranker.css")),
        _constant("WORDS", {language: page_texts(language)["ranker"] for language in LANGUAGES}),
        *map(_text, _PARTS),
    )
).encode()
NAME = f"{hashlib.sha256(SCRIPT).hexdigest()[:20]}.js"
MOUNT = _text("mount.js").replace("ADDRESS", f"/ranker/{NAME}")
"""What Streamlit sends with each run."""
_CACHED = {"Cache-Control": "public, max-age=31536000, immutable"}
_UNCACHED = {"Cache-Control": "no-store"}


async def serve_script(request: Request) -> Response:
    """Answer GET /ranker/{name} with the script; with an uncached 404 for the name of another version."""
    if request.path_params["name"] != NAME:
        return PlainTextResponse("This script is of another version. Reload the page.", 404, _UNCACHED)
    return Response(SCRIPT, headers=_CACHED, media_type="text/javascript")
