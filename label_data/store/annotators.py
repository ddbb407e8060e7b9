"""Annotators: the name that the pages show, and the random pseudonym that rankings carry."""

import secrets
from dataclasses import dataclass

from sqlalchemy import insert, select

from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.errors import InputError
from label_data.records import check_text
from label_data.sentences import say


@dataclass(frozen=True, slots=True)
class Annotator:
    """An annotator: a random pseudonym, which rankings carry, and the name that the pages show."""

    id: str
    name: str


def find_or_add_annotator(store: Store, name: str) -> Annotator:
    """Return the annotator with this name, adding it if new. Case and extra white space are ignored."""
    table = schema.annotators
    clean = " ".join(check_text(name, say("label_data.store.your_name"), 200).split())
    if not clean:
        raise InputError("label_data.store.name_empty")
    with writing(store) as connection:
        row = connection.execute(select(table).where(table.c.folded_name == clean.casefold())).first()
        if row is None:
            values = {"id": secrets.token_hex(16), "name": clean, "folded_name": clean.casefold()}
            connection.execute(insert(table).values(added_us=schema.now_us(), **values))
            return Annotator(values["id"], clean)
    return Annotator(row.id, row.name)


def annotator_with_name(store: Store, name: str) -> Annotator:
    """Return the annotator with this name, ignoring case and extra white space; InputError if there is none."""
    table = schema.annotators
    folded = " ".join(name.split()).casefold()
    with reading(store) as connection:
        row = connection.execute(select(table.c.id, table.c.name).where(table.c.folded_name == folded)).first()
    if row is None:
        raise InputError("label_data.store.no_annotator", name=name)
    return Annotator(*row)


def annotator_with_id(store: Store, annotator: str) -> Annotator | None:
    """Return the annotator with this pseudonym, or None."""
    table = schema.annotators
    with reading(store) as connection:
        row = connection.execute(select(table.c.id, table.c.name).where(table.c.id == annotator)).first()
    return Annotator(*row) if row else None
