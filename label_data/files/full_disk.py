"""Is the disk full? Each library says it in its own way; a person has to hear one thing."""

import errno
import re

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Error numbers: no space, the user's share is used up, the file may not be larger."""
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
"""What databases say when the disk takes no more; SQLite calls all but a plain lack of space an input/output error."""


def is_full(error: BaseException) -> bool:
    """Does the error say that the disk took no more?"""
    said = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None)
    number = getattr(error, "errno", None)
    if number is None and (in_text := re.search(r"\(os error (\d+)\)", str(error))):  # as Rust puts it: safetensors
        number = int(in_text[1])
    return said in FULL or number in NO_SPACE
