"""The data card of an exported file: its content, the sources and licences of its prompts, and what is left out."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from label_data.exchange.known_formats import LACKS
from label_data.sentences import Sentence

HUB_LICENCES = frozenset(
    ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "odc-by", "odbl")
)
"""Licences that the hub knows by these names; another licence is "other" there, and a missing one "unknown"."""
NO_LICENCE = "not stated"


def export_card(
    file: Path, format_: str, rows: int, left_out: Mapping[Sentence, int], origins: Mapping[tuple[str, str], int]
) -> str:
    """Return the card as English markdown, with the header in which the hub looks for the file and its licence.

    `origins`: (source, licence) -> number of prompts, as `label_data.oversight.progress.origins` counts them.
    """
    licences = {licence for _, licence in origins}
    licence = next(iter(licences)).lower() if len(licences) == 1 else "other"
    hub_licence = licence if licence in HUB_LICENCES else "unknown" if licences <= {""} else "other"
    counted_origins = Counter(dict(origins)).most_common()
    parts = [
        "---",
        f"license: {hub_licence}",
        "configs:",
        "- config_name: default",
        f"  data_files: {file.name!r}",
        "---",
        "",
        "# Human preferences",
        "",
        f"`{file.name}` holds {rows:,} rows in the format {format_}, written by `python -m label_data export`.",
        "",
        "## Sources",
        "",
        "| prompts | source | licence |",
        "| ---: | --- | --- |",
        *(
            f"| {prompts:,} | {_cell(source) or 'written in the workbench'} | {_cell(licence) or NO_LICENCE} |"
            for (source, licence), prompts in counted_origins
        ),
        "",
        "## Left out",
        "",
        *(f"- {count:,} x: {_cell(str(reason))}" for reason, count in Counter(dict(left_out)).most_common()),
        f"- The format has no place for: {LACKS[format_]}." if format_ in LACKS else "- Nothing else is left out.",
    ]
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
