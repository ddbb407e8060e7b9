"""The database: engine, tables, migrations, and turns of writers."""
