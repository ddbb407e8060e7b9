"""One file a format: its sample record on top, then how it is recognised, read and written."""

from pathlib import Path

from label_data.formats import (
    groups,
    helpsteer,
    hh_rlhf,
    lmarena,
    multipref,
    nectar,
    nemo_rl,
    open_assistant,
    prompts,
    rewardbench,
    shp,
    summaries,
    trl,
    ultrafeedback,
)
from label_data.formats.rows_in import listed, read_rows
from label_data.records import InputError

FORMATS = (
    *(helpsteer, lmarena, multipref, nectar, nemo_rl, open_assistant, rewardbench, shp, summaries, ultrafeedback),
    *(hh_rlhf, trl, groups, prompts),
)
"""Those whose first row only they can have go first; one that would take any pair, or any prompt, goes last."""
READERS = {module.NAME: module.read for module in FORMATS}
"""Format -> read(path, left_out): yields groups, and counts by reason what it leaves out."""
WRITERS = {module.NAME: module.write for module in (trl, groups)}
"""Format -> write(path, groups, left_out): returns how many rows it wrote, and counts what it leaves out."""


def recognised(path: Path) -> tuple[str, str]:
    """Return the format's name and what to say of the file, by its ending or the fields of its first row.

    Raises InputError at a file that can't be read, and at a first row that no format has.
    """
    if path.name.lower().removesuffix(".gz").endswith((".txt", ".csv")):
        return prompts.NAME, "prompts"
    rows = read_rows(path)
    first = next(rows)
    rows.close()
    for module in FORMATS:
        said = module.says(first.fields)
        if said:
            return module.NAME, said
    raise InputError(
        f"{first.where}: found fields that no format has: {listed(first.fields)}. "
        f"If it is one of these, name it with --format: {', '.join(READERS)}."
    )
