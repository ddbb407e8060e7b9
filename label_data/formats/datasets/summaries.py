r"""OpenAI's summarize-from-feedback, comparisons: two summaries of a post or an article, and one worker's choice.

{"info": {"id": "t3_x", "subreddit": "cooking", "title": "Dough", "post": "I froze my dough …"},
 "summaries": [{"text": "Froze dough.", "policy": "sup4"}, {"text": "Dough!", "policy": "ref"}],
 "choice": 0, "worker": "w17", "batch": "batch3", "split": "train", "extra": {"confidence": 2}}

The prompt is the text that the policies of the paper were given, ending in "TL;DR:". `confidence` lies on the axis from
the first summary (1) over 5 to the second (9): its distance from 5 becomes the strength, 1 slightly, 2 clearly, 3 and 4
much. A confidence that lies on the other side than the choice, or at 5, says nothing of the strength. The first of the
two summaries was shown first.

Source: Stiennon et al. 2020, arXiv:2009.01325, appendix C; https://github.com/openai/summarize-from-feedback
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row, described
from label_data.formats.verdicts import Verdict, judged, read_judged
from label_data.records import Group, Message

NAME = "summarize"
STRENGTH = {1: 1, 2: 2, 3: 3, 4: 3}
KNOWN = ("info", "summaries", "choice", "worker", "extra")


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    return "summarize-from-feedback comparisons" if {"info", "summaries", "choice"} <= fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group a row; see `read_judged`."""
    return read_judged(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    info, extra = row.object("info"), row.object("extra")
    article = info.text("article", "") or info.text("post")
    heads = [("SUBREDDIT: r/", info.text("subreddit", "")), ("TITLE: ", info.text("title", ""))]
    question = "".join(f"{head}{text}\n" for head, text in heads if text) + f"POST: {article}\nTL;DR:"
    choice, confidence = row.whole("choice"), extra.whole("confidence")
    if choice not in (0, 1):
        row.refuse("choice", described(row.fields.get("choice")), "Write 0 for the first summary, 1 for the second.")
    answers = [(summary.text("text"), summary.text("policy", "")) for summary in row.inner("summaries")]
    if len(answers) != 2:
        row.refuse("summaries", f"a list of {len(answers)}", "Write two.")
    agrees = confidence is not None and confidence != 5 and (confidence > 5) == (choice == 1)
    strength = (STRENGTH.get(abs(confidence - 5)),) if agrees else ()
    verdict = Verdict(row.text("worker", NAME), ((choice,), (1 - choice,)), strength, shown=(0, 1))
    return judged([Message("user", question)], answers, [verdict], left_out, source, info.text("subreddit", ""))
