"""Projects and gold prompts."""

from typing import Annotated

import typer

from label_data.assignment.gold import gold_prompts, mark_all_gold
from label_data.commands.options import ProjectOption, StoreOption, input_errors, opened_store
from label_data.oversight.progress import item_counts
from label_data.store.annotators import annotator_with_name
from label_data.store.projects import add_project, project_named, project_settings, projects


def projects_command(
    store: StoreOption = "",
    add: Annotated[str, typer.Option(help="name of a project to be added, with the default settings")] = "",
) -> None:
    """List the store's projects, each with its prompts by state; with --add, add one first."""
    with input_errors(), opened_store(store, create=bool(add)) as opened:
        if add:
            add_project(opened, add)
        for project in projects(opened):
            counts = item_counts(opened, project.id)
            states = ", ".join(f"{number:,} {state}" for state, number in counts.items())
            print(f"{project.id}: {project.name!r}, revision {project_settings(opened, project.id)[1]}, {states}")


def gold(
    annotator: Annotated[str, typer.Argument(help="name of who ranked prompts as they should be ranked")],
    store: StoreOption = "",
    project: ProjectOption = "",
) -> None:
    """Make every prompt that this annotator ranked a gold one: others get it as a test, by the project's share."""
    with input_errors(), opened_store(store) as opened:
        mine = project_named(opened, project).id
        new = mark_all_gold(opened, annotator_with_name(opened, annotator).id, mine)
        print(f"{new:,} new gold prompts, {gold_prompts(opened, mine):,} in all.")
