"""The ranking screen's code as one script: the files in browser/ and the sentences of every language.

Streamlit sends a component's html, css and js anew with each run, 85 kB for each ranking. So it is given `MOUNT` alone,
a few lines that import the script from the server, at an address named by its content: a browser loads it once and
keeps it, and after an update the address is another. What the script holds is the same for everybody and in this
repository; texts, names and settings never go into it.
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
"""Joined in this order, so that each may use the names of those before it."""


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
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}
_NOT_KEPT = {"Cache-Control": "no-store"}


async def give_script(request: Request) -> Response:
    """Answer GET /ranker/{name} with the script; 404 for the name of another version, which nothing may keep."""
    if request.path_params["name"] != NAME:
        return PlainTextResponse("This is another version's script. Reload the page.", 404, _NOT_KEPT)
    return Response(SCRIPT, headers=_KEPT, media_type="text/javascript")
