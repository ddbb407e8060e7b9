"""Microseconds since 1970, UTC, as people read them."""

from datetime import UTC, datetime

MINUTE, DAY = "%Y-%m-%d %H:%M", "%Y-%m-%d"


def moment(microseconds: int, form: str = MINUTE) -> str:
    """Return the day, or the minute, UTC; the number itself where no calendar has it, as a file may say."""
    try:
        return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return f"{microseconds} µs"
