"""Microseconds since 1970, UTC, as people read them."""

from datetime import UTC, date, datetime, time, timedelta

MINUTE, DAY = "%Y-%m-%d %H:%M", "%Y-%m-%d"


def format_time(microseconds: int, form: str = MINUTE) -> str:
    """Return the day, or the minute, UTC; the number itself where no calendar has it, as a file may say."""
    try:
        return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return f"{microseconds} µs"


def midnight(day: date, days_later: int = 0) -> int:
    """Return the moment at which the day begins, UTC, or the one so many days later."""
    return round(datetime.combine(day + timedelta(days=days_later), time(), UTC).timestamp() * 1e6)
