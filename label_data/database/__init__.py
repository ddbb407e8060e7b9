"""The database: engine, tables, migrations, turns of writers."""
