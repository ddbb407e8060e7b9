"""python -m label_data: import and export data, manage versions and projects, check quality, check and copy a store."""

import typer

from label_data.commands.exchange import export_command, import_command
from label_data.commands.projects import gold, projects_command
from label_data.commands.quality import quality
from label_data.commands.upkeep import backup, check, copy_command, restore_command, stats
from label_data.commands.versions import app as versions_app
from label_data.commands.versions import snapshot

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Import, export, version, check and copy the data of a store.",
)
app.command("snapshot", hidden=True)(snapshot)
app.add_typer(versions_app, name="versions")
app.command("import")(import_command)
app.command("export")(export_command)
app.command()(stats)
app.command("projects")(projects_command)
app.command()(gold)
app.command()(quality)
app.command()(check)
app.command("copy")(copy_command)
app.command()(backup)
app.command("restore")(restore_command)


if __name__ == "__main__":
    app(prog_name="python -m label_data")
