"""The quality report."""

from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from label_data.commands.options import ProjectOption, input_errors, opened_store
from label_data.files.whole import check_ending
from label_data.sentences import say
from label_data.store.projects import project_named
from label_data.store.stored_groups import groups


def quality(
    store: Annotated[str, typer.Argument(help="store file or database URL; by default the data folder's")] = "",
    project: ProjectOption = "",
    out: Annotated[Path | None, typer.Option(help="also write the whole report to this .html or .json file")] = None,
    seed: Annotated[int, typer.Option(help="decides the resamples of every interval")] = 0,
) -> None:
    """Say how much to believe a project's rankings: agreement, bias, effort, reliability, policies, and what to do."""
    from label_data.quality.page import ENDINGS, about, headline, write_report
    from label_data.quality.report import (
        quality as quality_report,  # pandas, scipy and matplotlib: for this command alone
    )

    with input_errors():
        if out:
            check_ending(out, ENDINGS)
    with input_errors(), opened_store(store) as opened:
        ranked = groups(opened, ranked_only=True, project=project_named(opened, project).id)
        counted = tqdm(ranked, unit=" prompts", disable=None, leave=False)
        found = quality_report(counted, seed=seed)
        written = write_report(found, out) if out else []
    print("\n".join(map(str, headline(found))))
    print(
        f"\n{say('label_data.quality.recommendations')}:"
        if found.findings
        else f"\n{say('label_data.quality.no_findings')}"
    )
    for one in found.findings:
        print(f"- {about(one.about)}: {one.what} {one.todo}")
    if written:
        print(f"\nThe report is {written[0]}, with {len(written) - 1} plots.")
