r"""OpenAI's summarize-from-feedback, comparisons: two summaries of a post or an article, and one worker's choice.

{"info": {"id": "t3_x", "subreddit": "cooking", "title": "Dough", "post": "I froze my dough …"},
 "summaries": [{"text": "Froze dough.", "policy": "sup4"}, {"text": "Dough!", "policy": "ref"}],
 "choice": 0, "worker": "w17", "batch": "batch3", "split": "train", "extra": {"confidence": 2}}

The prompt is the text that the policies of the paper were given, ending in "TL;DR:". `confidence` runs from 1, the
first summary, through 5 to 9, the second summary: its distance from 5 becomes the strength, 1 slightly, 2 clearly, 3
and 4 much. A confidence of 5, or on the other side than the choice, gives no strength. The first summary was shown
first.

Source: Stiennon et al. 2020, arXiv:2009.01325, appendix C; https://github.com/openai/summarize-from-feedback
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row, described
from label_data.formats.ranked_rows import RowRanking, ranked_group, read_groups
from label_data.records import Group, Message
from label_data.sentences import Sentence, say

NAME = "summarize"
STRENGTH = {1: 1, 2: 2, 3: 3, 4: 3}
KNOWN = ("info", "summaries", "choice", "worker", "extra")


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if {"info", "summaries", "choice"} <= fields.keys():
        return say("label_data.datasets.is_summarize")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a row; see `read_groups`."""
    return read_groups(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    info, extra = row.object("info"), row.object("extra")
    article = info.text("article", "") or info.text("post")
    headings = [("SUBREDDIT: r/", info.text("subreddit", "")), ("TITLE: ", info.text("title", ""))]
    question = "".join(f"{heading}{text}\n" for heading, text in headings if text) + f"POST: {article}\nTL;DR:"
    choice, confidence = row.whole("choice"), extra.whole("confidence")
    if choice not in (0, 1):
        row.refuse("choice", say("label_data.datasets.summary_choice", found=described(row.fields.get("choice"))))
    completions = [(summary.text("text"), summary.text("policy", "")) for summary in row.inner("summaries")]
    if len(completions) != 2:
        row.refuse("summaries", say("label_data.datasets.not_two", count=len(completions)))
    agrees = confidence is not None and confidence != 5 and (confidence > 5) == (choice == 1)
    strength = (STRENGTH.get(abs(confidence - 5)),) if confidence is not None and agrees else ()
    ranking = RowRanking(row.text("worker", NAME), ((choice,), (1 - choice,)), strength, shown=(0, 1))
    category = info.text("subreddit", "")
    return ranked_group([Message("user", question)], completions, [ranking], left_out, source, category)
