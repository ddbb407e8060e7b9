"""The known formats: how each is recognised, read and written. Each is a module that begins with a sample record."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from label_data.files.csv_in import csv_rows
from label_data.files.places import fault
from label_data.files.rows_in import listed, read_rows
from label_data.files.rows_out import ENDINGS
from label_data.formats import argilla, groups, label_studio, pairs_table, prompts, spreadsheet
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
from label_data.formats.pair_rows import LACKS as PAIRS_LACK
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
from label_data.sentences import Sentence, say

MAPPED = (argilla, label_studio, pairs_table)
"""Formats whose fields have names of a person's choice: their read takes `names`, from our names to the file's."""
FORMATS = (
    *(argilla, label_studio),
    *(helpsteer, helpsteer_ratings, lmarena, multipref, nectar, nemo_rl, open_assistant),
    *(rewardbench, shp, summaries, ultrafeedback),
    *(axolotl, llama_factory, ms_swift, spreadsheet, trl_sft),
    *(hh_rlhf, trl, groups, pairs_table, prompts),
)
"""The order in which a file's first row is tried: formats that accept any pair, or any prompt, are last."""
READERS = {module.NAME: module.read for module in FORMATS}
"""Format -> read(path, left_out): yields groups, and counts in `left_out` by reason what it leaves out."""
PAIR_FORMATS = tuple(
    module.PAIRS for module in (trl, trl_implicit, trl_text, openrlhf, ms_swift, nemo_rl_pairs, llama_factory, axolotl)
)
PAIR_WRITERS = {pairs.name: pairs.write_pairs for pairs in PAIR_FORMATS}
"""Format of pairs -> write_pairs(path, pairs, left_out): writes pairs from any source, and returns how many rows."""
WITH_MARGIN = frozenset(pairs.name for pairs in PAIR_FORMATS if pairs.takes_margin)
"""Formats whose write and write_pairs take `with_margin`."""
WRITERS: dict[str, Callable[..., int]] = {pairs.name: pairs.write for pairs in PAIR_FORMATS} | {
    module.NAME: module.write for module in (nemo_rl, trl_unpaired, trl_sft, spreadsheet, groups)
}
"""Format -> write(path, groups, left_out): returns how many rows it wrote, and counts what it leaves out."""
LACKS = dict.fromkeys(PAIR_WRITERS, PAIRS_LACK) | {
    module.NAME: module.LACKS for module in (nemo_rl, trl_unpaired, trl_sft, spreadsheet)
}
"""Format -> what it has no place for at all. "groups" is not in it, because it has a place for everything."""
FILE_ENDINGS: dict[str, Sequence[str]] = (
    dict.fromkeys(WRITERS, ENDINGS)
    | {pairs.name: pairs.endings for pairs in PAIR_FORMATS}
    | {spreadsheet.NAME: spreadsheet.ENDINGS}
)
"""Format -> how the name of a file written in it may end."""


def recognised(path: Path, names: Mapping[str, str] | None = None) -> tuple[str, Sentence]:
    """Return the format's name and a description of the file, from its ending or the fields of its first row.

    `names` maps our names of fields to the file's. Raises InputError at a file that can't be read, and at a first row
    that fits no format.
    """
    ending = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if ending == "txt":
        return prompts.NAME, prompts.PROMPTS
    rows = csv_rows(path, str(path)) if ending == "csv" else read_rows(path)
    first = next(rows)
    rows.close()
    kind = pairs_table.recognise(first.fields, names)
    if kind and (names or ending == "csv"):
        return pairs_table.NAME, kind
    if ending == "csv":
        for table in (spreadsheet, lmarena):
            if kind := table.recognise(first.fields):
                return table.NAME, kind
        return prompts.NAME, prompts.PROMPTS
    for module in FORMATS:
        if kind := module.recognise(first.fields):
            return module.NAME, kind
    problem = say("label_data.exchange.unknown_format", names=listed(first.fields), formats=", ".join(READERS))
    raise fault(first.where, problem)
