"""Damage a store in ways that the program cannot."""

from sqlalchemy import create_engine


def damage(store, *statements):
    """Change the store as nothing in the program can: past its references, on PostgreSQL past its triggers too."""
    if store.dialect.name == "postgresql":
        superuser = create_engine(store.url.set(username="postgres"))
        with superuser.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            for statement in statements:
                connection.exec_driver_sql(statement)
        superuser.dispose()
        return
    with store.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        for statement in statements:
            connection.exec_driver_sql(statement)
