"""Damage a store in ways the program itself cannot."""

from sqlalchemy import create_engine


def damage(store, *statements):
    """Run statements without foreign key checks and, on PostgreSQL, without triggers."""
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
