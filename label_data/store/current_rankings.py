"""The one definition, in SQL, of which rankings are current: not revised by a later ranking, and not withdrawn.

A ranking is never changed. A later one may revise it, and a retraction withdraws every revision of a chain. The
conditions take a column with a submission, since demonstrations name the ranking with which they were sent. Each is one
look-up in a unique index for each row.
"""

from sqlalchemy import ColumnElement, func, select

from label_data.database import schema

_rankings, _retractions = schema.rankings, schema.retractions
_later = _rankings.alias("later")


def is_newest(submission: ColumnElement[str] = _rankings.c.submission) -> ColumnElement[bool]:
    """Return the condition that no later ranking revises the ranking with this submission."""
    return ~select(_later.c.number).where(_later.c.revises == submission).exists()


def is_withdrawn(submission: ColumnElement[str] = _rankings.c.submission) -> ColumnElement[bool]:
    """Return the condition that the ranking with this submission was withdrawn."""
    return select(_retractions.c.submission).where(_retractions.c.submission == submission).exists()


def is_current(submission: ColumnElement[str] = _rankings.c.submission) -> ColumnElement[bool]:
    """Return the condition that the ranking with this submission is the newest of its chain and not withdrawn."""
    return is_newest(submission) & ~is_withdrawn(submission)


is_new_work = (func.coalesce(_rankings.c.revises, "") == "") & (_rankings.c.outcome != "skipped")
"""The condition that a ranking counts as an annotator's work: it is neither a revision nor a skip. It counts even if it
was revised or withdrawn later. (For `revises IS NULL` SQLite would use the index on `revises`: nearly all rows.)"""
