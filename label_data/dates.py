"""Convert between dates and microseconds since 1970, UTC."""

from datetime import UTC, date, datetime, time, timedelta

MINUTE, DAY = "%Y-%m-%d %H:%M", "%Y-%m-%d"


def format_time(microseconds: int, form: str = MINUTE) -> str:
    """Return the time as text, UTC. A number outside the calendar, which a file may hold, is returned as a number."""
    try:
        return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return f"{microseconds} µs"


def midnight(day: date, days_later: int = 0) -> int:
    """Return the start of the day, or of the day that many days later, in microseconds since 1970, UTC."""
    return round(datetime.combine(day + timedelta(days=days_later), time(), UTC).timestamp() * 1e6)
