"""Rows are inserted in order, whatever their number."""

import pytest
from sqlalchemy import select

from label_data.database import schema
from label_data.database.bulk_insert import insert_rows
from label_data.database.engine import reading, writing


@pytest.mark.parametrize("rows", [0, 1, 3, 8, 14])
def test_rows_are_stored_in_order_by_statements_of_few_sizes(store, monkeypatch, rows):
    """With 5, 2 and 1 rows a statement, 14 rows are 5 + 5 + 2 + 2 and 8 are 5 + 2 + 1."""
    monkeypatch.setattr("label_data.database.bulk_insert.ROWS_AT_ONCE", (5, 2, 1))
    created = [
        {"id": f"{number:03d}", "messages": "é'\"\\ %s ? :x", "category": "", "source": "", "added_us": number}
        for number in range(rows)
    ]
    with writing(store) as connection:
        insert_rows(connection, schema.prompts, created)
    with reading(store) as connection:
        result = connection.execute(select(schema.prompts).order_by(schema.prompts.c.number)).mappings().all()
    assert [{name: row[name] for name in created[0]} for row in result] == created
