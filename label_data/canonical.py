"""One JSON text for a value on every machine, and the ids that are hashes of it."""

import hashlib
import json
from typing import Any

import orjson

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
"""Kept, because json.dumps makes one at each call, which takes as long as encoding a record."""


_EMPTY = {dict: "{}", list: "[]", tuple: "[]"}
"""Half of what records hold is one of these."""


def canonical(value: Any) -> str:
    """Return the one JSON text that stands for this value on every machine."""
    return _CANONICAL.encode(value) if value or type(value) not in _EMPTY else _EMPTY[type(value)]


def canonical_bytes(value: Any) -> bytes:
    """Return canonical(value) in UTF-8, ten times as fast, of what holds no float: texts, whole numbers, lists of them.

    (The two encoders write floats with an exponent differently, and all else alike.)
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a whole number of more than 64 bits, or what neither encoder takes
        return canonical(value).encode()


def content_id(*parts: Any) -> str:
    """Return 32 hexadecimal digits (128 bits of sha256) that name this content."""
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:32]


def fast_content_id(*parts: Any) -> str:
    """Return the same as `content_id`, of parts without a float."""
    return hashlib.sha256(canonical_bytes(parts)).hexdigest()[:32]
