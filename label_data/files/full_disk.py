"""Recognise a full disk: each library reports it in its own way, and a person should read one message."""

import errno
import re

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Error numbers: no space left, disk quota used up, file too large."""
FULL = {
    "SQLITE_FULL",
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_FSYNC",
    "SQLITE_IOERR_TRUNCATE",
    "SQLITE_IOERR_SHMOPEN",
    "SQLITE_IOERR_SHMSIZE",
    "SQLITE_IOERR_SHMMAP",
    "53100",  # PostgreSQL's disk_full
}
"""Codes of databases for a full disk. SQLite reports all but a plain lack of space as an input/output error."""


def is_full(error: BaseException) -> bool:
    """Return whether the error means that the disk is full."""
    code = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None)
    number = getattr(error, "errno", None)
    if number is None and (match := re.search(r"\(os error (\d+)\)", str(error))):  # Rust's wording, in safetensors
        number = int(match[1])
    return code in FULL or number in NO_SPACE
