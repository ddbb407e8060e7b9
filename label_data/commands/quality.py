"""The command quality."""

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
    seed: Annotated[int, typer.Option(help="seed of the bootstrap for all intervals")] = 0,
) -> None:
    """Report annotation quality: agreement, bias, effort, reliability, and recommendations."""
    from label_data.quality.page import ENDINGS, about, headline, write_report
    from label_data.quality.report import quality as quality_report  # imports pandas, scipy and matplotlib

    with input_errors():
        if out:
            check_ending(out, ENDINGS)
    with input_errors(), opened_store(store) as opened:
        ranked = groups(opened, ranked_only=True, project=project_named(opened, project).id)
        report = quality_report(tqdm(ranked, unit=" prompts", disable=None, leave=False), seed=seed)
        written = write_report(report, out) if out else []
    print("\n".join(map(str, headline(report))))
    if report.findings:
        print(f"\n{say('label_data.quality.recommendations')}:")
    else:
        print(f"\n{say('label_data.quality.no_findings')}")
    for finding in report.findings:
        print(f"- {about(finding.about)}: {finding.measurement} {finding.recommendation}")
    if written:
        print(f"\nThe report is {written[0]}, with {len(written) - 1} plots.")
