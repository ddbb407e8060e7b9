"""The card of an exported file: what is in it, where that came from and under which terms, and what is not in it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from label_data.exchange.known_formats import LACKS

HUB_LICENCES = frozenset(
    ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "odc-by", "odbl")
)
"""Licences that the hub knows by these names; any other is "other" to it, or "unknown" if nobody said."""
UNSAID = "not said"


def export_card(
    file: Path, format_: str, rows: int, left_out: Mapping[str, int], origins: Mapping[tuple[str, str], int]
) -> str:
    """Return the card as markdown, with the lines in front by which the hub finds the file and its licence.

    `origins`: (source, licence) -> prompts, as `label_data.oversight.progress.origins` counts them.
    """
    licences = {licence for _, licence in origins}
    known = next(iter(licences)).lower() if len(licences) == 1 else "other"
    hub = known if known in HUB_LICENCES else "unknown" if licences <= {""} else "other"
    told = Counter(dict(origins)).most_common()
    parts = [
        "---",
        f"license: {hub}",
        "configs:",
        "- config_name: default",
        f"  data_files: {file.name!r}",
        "---",
        "",
        "# Human preferences",
        "",
        f"`{file.name}` holds {rows:,} rows in the format {format_}, written by `python -m label_data export`.",
        "",
        "## Where it comes from",
        "",
        "| prompts | source | licence |",
        "| ---: | --- | --- |",
        *(
            f"| {prompts:,} | {_cell(source) or 'written in the workbench'} | {_cell(licence) or UNSAID} |"
            for (source, licence), prompts in told
        ),
        "",
        "## What is not in it",
        "",
        *(f"- {times:,} x: {_cell(reason)}" for reason, times in Counter(dict(left_out)).most_common()),
        f"- The format has no place for {LACKS[format_]}." if format_ in LACKS else "- Nothing else is left out.",
    ]
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
