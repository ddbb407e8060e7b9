"""Routes that the ranking screen calls: POST /api/draft saves a draft, POST /api/leave shortens the annotator's leases.

A draft is saved on the server so that it can be continued in another browser. It is sent in a request of its own, not
as a message to the page's script: a script run for each pause in typing would cost the server a hundred times as much
and make the annotator wait. Only pages of this server may send requests, for the annotator named by the cookie.
"""

import json

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from label_data.assignment.drafts import LONGEST_DRAFT, save_draft
from label_data.assignment.leases import shorten_leases
from label_data.errors import InputError
from workbench.web.session import COOKIE, LANGUAGE, store
from workbench.wording import nearest_language, rendered_message

LONGEST_BODY = 4 * LONGEST_DRAFT
"""Bytes; a character takes at most four."""


async def keep_draft(request: Request) -> JSONResponse:
    """Save {"token", "draft"}. The response's "kept" says whether it was saved, or its "error" what is wrong."""
    if not _is_same_origin(request):
        return JSONResponse({"error": "Only the workbench's own pages may send drafts."}, 403)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_BODY:
            return JSONResponse({"error": f"The draft has more than {LONGEST_BODY:,} bytes. Shorten it."}, 413)
    try:
        value = json.loads(body)
        token, draft = value["token"], value["draft"]
        if not isinstance(token, str) or not isinstance(draft, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        return JSONResponse({"error": 'The body is not {"token": "…", "draft": {…}}.'}, 400)
    try:
        kept = await run_in_threadpool(save_draft, store(), token, request.cookies.get(COOKIE, ""), draft)
    except InputError as error:
        return JSONResponse({"error": rendered_message(error, _language(request))}, 422)
    return JSONResponse({"kept": kept})


def _language(request: Request) -> str:
    """Return the language chosen on the page, else the browser's first choice."""
    return nearest_language(request.cookies.get(LANGUAGE) or request.headers.get("accept-language"))


async def leave_page(request: Request) -> JSONResponse:
    """Shorten the leases of the annotator who left the page. The response's "tasks" says how many."""
    if not _is_same_origin(request):
        return JSONResponse({"error": "Only the workbench's own pages may report that an annotator left."}, 403)
    return JSONResponse({"tasks": await run_in_threadpool(shorten_leases, store(), request.cookies.get(COOKIE, ""))})


def _is_same_origin(request: Request) -> bool:
    """Return whether a page of this server sent the request. Browsers set these headers; scripts can't forge them."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin", "")
    return origin.partition("://")[2] == request.headers.get("host")
