"""The app's web server: Streamlit's pages behind a content-security policy, with the settings it ships with."""

import base64
import hashlib
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import file_util

from workbench.logs import log_as_json
from workbench.ranker.script import give_script
from workbench.web.draft_routes import keep_draft, let_go

LOCAL = "127.0.0.1"


def _first_page(_request: Request) -> RedirectResponse:
    """Lead to Rank, which Streamlit serves at / alone, for it is the first page."""
    return RedirectResponse("/")


ROUTES = [
    Route("/rank", _first_page),
    Route("/api/draft", keep_draft, methods=["POST"]),
    Route("/ranker/{name}", give_script),
    Route("/api/leave", let_go, methods=["POST"]),
]

SETTINGS: dict[str, Any] = {
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "viewer",  # in "developer" the key c opens a dialog in the middle of a ranking
    "client.showErrorDetails": "none",  # a traceback names files and may quote model text; it goes to the log
    "global.developmentMode": False,
    "logger.hideWelcomeMessage": True,  # the log has a JSON object a line, and whoever started it is told the address
    "runner.magicEnabled": False,  # it shows any bare string of a page, the docstring of a constant too
    "runner.postScriptGC": False,  # a full collection after every run was what limited submissions a second
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.maxUploadSize": 200,
    "theme.headingFontSizes": ["1.8rem", "1.4rem", "1.15rem", "1rem", "1rem", "1rem"],
    "theme.light.primaryColor": "#1d4fa8",  # the ranking screen's blue: red would say that something is wrong
    "theme.dark.primaryColor": "#7fb0ff",
}


def content_security_policy() -> str:
    """Return the policy under which model text, whatever it holds, can neither run a script nor call out.

    Scripts: Streamlit's own files, its one inline script by hash, and components' modules as blobs. Images, fonts,
    frames and connections: this server only.
    """
    page = Path(file_util.get_static_dir(), "index.html").read_bytes()
    inline = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in inline)
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' blob: {hashes}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "frame-src 'self'",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'self'",
        )
    )


class SecurityHeaders:
    """Adds the policy and its companions to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.headers = [
            (b"content-security-policy", content_security_policy().encode()),
            (b"referrer-policy", b"same-origin"),  # no-referrer would make form posts send Origin null
            (b"x-content-type-options", b"nosniff"),
            (b"x-dns-prefetch-control", b"off"),  # a look-up of a link's host would already tell that it was shown
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its answer back with the headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *self.headers]}
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


@asynccontextmanager
async def _logging(_app: st.App) -> AsyncIterator[None]:
    """Write logs as JSON lines from here on: by now Streamlit has made its loggers."""
    log_as_json()
    yield


def serve(port: int) -> None:
    """Serve the pages on 127.0.0.1 until stopped."""
    os.environ["STREAMLIT_SERVER_ADDRESS"] = LOCAL
    script, middleware = Path(__file__).parents[1] / "app.py", [Middleware(SecurityHeaders)]
    app = st.App(script, routes=ROUTES, middleware=middleware, lifespan=_logging)
    app.run(config=SETTINGS | {"server.port": port, "server.address": LOCAL})
