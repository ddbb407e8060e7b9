"""One file a format: its sample record on top, then how it is recognised, read and written."""

from collections.abc import Mapping
from pathlib import Path

from label_data.formats import (
    argilla,
    groups,
    helpsteer,
    hh_rlhf,
    label_studio,
    lmarena,
    multipref,
    nectar,
    nemo_rl,
    open_assistant,
    pairs_table,
    prompts,
    rewardbench,
    shp,
    summaries,
    trl,
    ultrafeedback,
)
from label_data.formats.csv_in import csv_rows
from label_data.formats.rows_in import listed, read_rows
from label_data.records import InputError

MAPPED = (argilla, label_studio, pairs_table)
"""Those whose fields have the names that somebody gave them: their read takes `names`, from ours to the file's."""
FORMATS = (
    *(argilla, label_studio),
    *(helpsteer, lmarena, multipref, nectar, nemo_rl, open_assistant, rewardbench, shp, summaries, ultrafeedback),
    *(hh_rlhf, trl, groups, pairs_table, prompts),
)
"""Those whose first row only they can have go first; one that would take any pair, or any prompt, goes last."""
READERS = {module.NAME: module.read for module in FORMATS}
"""Format -> read(path, left_out): yields groups, and counts by reason what it leaves out."""
WRITERS = {module.NAME: module.write for module in (trl, groups)}
"""Format -> write(path, groups, left_out): returns how many rows it wrote, and counts what it leaves out."""
PAIR_WRITERS = {module.NAME: module.write_preferred for module in (trl,)}
"""Format of pairs -> write_preferred(path, pairs, left_out, with_margin): the same of pairs made in another way."""


def recognised(path: Path, names: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Return the format's name and what to say of the file, by its ending or the fields of its first row.

    `names` maps our names of fields to the file's. Raises InputError at a file that can't be read, and at a first row
    that no format has.
    """
    ending = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if ending == "txt":
        return prompts.NAME, "prompts"
    rows = csv_rows(path, str(path)) if ending == "csv" else read_rows(path)
    first = next(rows)
    rows.close()
    if pairs_table.says(first.fields, names) and (names or ending == "csv"):
        return pairs_table.NAME, pairs_table.says(first.fields, names)
    if ending == "csv":
        return prompts.NAME, "prompts"
    for module in FORMATS:
        said = module.says(first.fields)
        if said:
            return module.NAME, said
    raise InputError(
        f"{first.where}: found fields that no format has: {listed(first.fields)}. "
        f"If it is one of these, name it with --format: {', '.join(READERS)}."
    )
