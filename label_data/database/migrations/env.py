"""Runs the numbered revisions over the connection that `label_data.database.engine.open_store` hands in."""

from alembic import context

from label_data.database.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller holds one transaction around all revisions, so none can stay half applied
)
context.run_migrations()
