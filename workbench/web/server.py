"""The app's web server: Streamlit's pages with the workbench's settings, behind a content security policy."""

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
from workbench.ranker.script import serve_script
from workbench.web.draft_routes import keep_draft, leave_page

LOCAL = "127.0.0.1"


def _first_page(_request: Request) -> RedirectResponse:
    """Redirect to Rank, which Streamlit serves only at /, because it is the default page."""
    return RedirectResponse("/")


ROUTES = [
    Route("/rank", _first_page),
    Route("/api/draft", keep_draft, methods=["POST"]),
    Route("/ranker/{name}", serve_script),
    Route("/api/leave", leave_page, methods=["POST"]),
]

SETTINGS: dict[str, Any] = {
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "viewer",  # in "developer" the key c opens a dialog while ranking
    "client.showErrorDetails": "none",  # tracebacks name files and may quote model text; they go to the log
    "global.developmentMode": False,
    "logger.hideWelcomeMessage": True,  # the log has one JSON object per line; the command prints the address
    "runner.magicEnabled": False,  # would show every bare string of a page, such as the docstring of a constant
    "runner.postScriptGC": False,  # a full collection after every run limited the submissions per second
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.maxUploadSize": 200,
    "theme.headingFontSizes": ["1.8rem", "1.4rem", "1.15rem", "1rem", "1rem", "1rem"],
    "theme.light.primaryColor": "#1d4fa8",  # the ranking screen's blue; Streamlit's red suggests an error
    "theme.dark.primaryColor": "#7fb0ff",
}


def content_security_policy() -> str:
    """Return the policy under which model text can neither run a script nor reach another server, whatever it contains.

    Allowed scripts: Streamlit's files, its inline script by hash, and components' modules as blobs. Images, fonts,
    frames and connections: from this server only.
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
    """Adds the policy and other security headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.headers = [
            (b"content-security-policy", content_security_policy().encode()),
            (b"referrer-policy", b"same-origin"),  # with no-referrer, form posts would send Origin: null
            (b"x-content-type-options", b"nosniff"),
            (b"x-dns-prefetch-control", b"off"),  # looking up a link's host would reveal that it was shown
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; add the headers to its response."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *self.headers]}
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


@asynccontextmanager
async def _logging(_app: st.App) -> AsyncIterator[None]:
    """Write logs as JSON lines from now on: Streamlit has created its loggers by now."""
    log_as_json()
    yield


def serve(port: int) -> None:
    """Serve the pages on 127.0.0.1 until stopped."""
    os.environ["STREAMLIT_SERVER_ADDRESS"] = LOCAL
    script, middleware = Path(__file__).parents[1] / "app.py", [Middleware(SecurityHeaders)]
    app = st.App(script, routes=ROUTES, middleware=middleware, lifespan=_logging)
    app.run(config=SETTINGS | {"server.port": port, "server.address": LOCAL})
