"""One file a format: its sample record on top, then how it is recognised, read and written."""

from collections.abc import Mapping
from pathlib import Path

from label_data.errors import InputError
from label_data.files.csv_in import csv_rows
from label_data.files.rows_in import listed, read_rows
from label_data.files.rows_out import ENDINGS
from label_data.formats import argilla, groups, label_studio, pairs_table, prompts, spreadsheet
from label_data.formats import pair_rows as pairs_out
from label_data.formats.datasets import (
    helpsteer,
    helpsteer_ratings,
    hh_rlhf,
    lmarena,
    multipref,
    nectar,
    open_assistant,
    rewardbench,
    shp,
    summaries,
    ultrafeedback,
)
from label_data.formats.trainers import (
    axolotl,
    llama_factory,
    ms_swift,
    nemo_rl,
    nemo_rl_pairs,
    openrlhf,
    trl,
    trl_implicit,
    trl_sft,
    trl_text,
    trl_unpaired,
)

MAPPED = (argilla, label_studio, pairs_table)
"""Those whose fields have the names that somebody gave them: their read takes `names`, from ours to the file's."""
FORMATS = (
    *(argilla, label_studio),
    *(helpsteer, helpsteer_ratings, lmarena, multipref, nectar, nemo_rl, open_assistant),
    *(rewardbench, shp, summaries, ultrafeedback),
    *(axolotl, llama_factory, ms_swift, spreadsheet, trl_sft),
    *(hh_rlhf, trl, groups, pairs_table, prompts),
)
"""Those whose first row only they can have go first; one that would take any pair, or any prompt, goes last."""
READERS = {module.NAME: module.read for module in FORMATS}
"""Format -> read(path, left_out): yields groups, and counts by reason what it leaves out."""
MARGIN_FORMATS = (trl, trl_implicit, trl_text, openrlhf, ms_swift)
PAIR_FORMATS = (*MARGIN_FORMATS, nemo_rl_pairs, llama_factory, axolotl)
PAIR_WRITERS = {module.NAME: module.write_preferred for module in PAIR_FORMATS}
"""Format of pairs -> write_preferred(path, pairs, left_out): writes pairs made in any way, and returns how many."""
WITH_MARGIN = frozenset(module.NAME for module in MARGIN_FORMATS)
"""Formats whose write and write_preferred take `with_margin`."""
WRITERS = {module.NAME: module.write for module in (*PAIR_FORMATS, nemo_rl, trl_unpaired, trl_sft, spreadsheet, groups)}
"""Format -> write(path, groups, left_out): returns how many rows it wrote, and counts what it leaves out."""
LACKS = dict.fromkeys(PAIR_WRITERS, pairs_out.LACKS) | {
    module.NAME: module.LACKS for module in (nemo_rl, trl_unpaired, trl_sft, spreadsheet)
}
"""Format -> what it has no place for at all; "groups", which has a place for everything, is not named."""
FILE_ENDINGS = dict.fromkeys(WRITERS, ENDINGS) | {
    module.NAME: module.ENDINGS for module in (llama_factory, ms_swift, openrlhf, spreadsheet)
}
"""Format -> how the name of a file written in it may end."""


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
        for table in (spreadsheet, lmarena):
            if table.says(first.fields):
                return table.NAME, table.says(first.fields)
        return prompts.NAME, "prompts"
    for module in FORMATS:
        said = module.says(first.fields)
        if said:
            return module.NAME, said
    raise InputError(
        f"{first.where}: found fields that no format has: {listed(first.fields)}. "
        f"If it is one of these, name it with --format: {', '.join(READERS)}."
    )
