"""The commands projects and gold."""

from typing import Annotated

import typer

from label_data.assignment.gold import gold_prompts, mark_all_gold
from label_data.commands.options import ProjectOption, StoreOption, input_errors, opened_store
from label_data.oversight.progress import item_counts
from label_data.store.annotators import annotator_with_name
from label_data.store.projects import add_project, project_named, project_settings, projects


def projects_command(
    store: StoreOption = "",
    add: Annotated[str, typer.Option(help="name of a project to create, with the default settings")] = "",
) -> None:
    """List the store's projects and how many prompts are in each state. With --add, create a project first."""
    with input_errors(), opened_store(store, create=bool(add)) as opened:
        if add:
            add_project(opened, add)
        for project in projects(opened):
            counts = item_counts(opened, project.id)
            states = ", ".join(f"{number:,} {state}" for state, number in counts.items())
            print(f"{project.id}: {project.name!r}, revision {project_settings(opened, project.id)[1]}, {states}")


def gold(
    annotator: Annotated[str, typer.Argument(help="name of the annotator whose rankings become the reference")],
    store: StoreOption = "",
    project: ProjectOption = "",
) -> None:
    """Make each prompt that this annotator ranked a gold prompt, used to check other annotators."""
    with input_errors(), opened_store(store) as opened:
        project_id = project_named(opened, project).id
        new = mark_all_gold(opened, annotator_with_name(opened, annotator).id, project_id)
        print(f"{new:,} new gold prompts, {gold_prompts(opened, project_id):,} in all.")
