"""Parts that commands share: options, the store they open, and how they print errors of the user."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from label_data.data_folder import default_store
from label_data.database.engine import Store, open_store
from label_data.errors import InputError

ProjectOption = Annotated[str, typer.Option("--project", help="name of a project; by default the store's only one")]
StoreOption = Annotated[str, typer.Option("--store", help="store file or database URL; by default the data folder's")]


@contextmanager
def input_errors() -> Iterator[None]:
    """Print only the message of an InputError and end with status 1; any other error keeps its traceback."""
    try:
        yield
    except InputError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@contextmanager
def opened_store(address: str, create: bool = False) -> Iterator[Store]:
    """Open the store, by default the one in the data folder, and close it after the block."""
    store = open_store(address or default_store(), create)
    try:
        yield store
    finally:
        store.dispose()
