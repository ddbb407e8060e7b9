import gzip
import json

from typer.testing import CliRunner

import benchmarks.converters.qa_feedback_to_groups as converter
from label_data.formats.groups import read


def test_six_judgements_in_one_direction_are_a_full_order():
    assert converter.order_by_wins([1, 1, 1, 1, 1, 1]) == [[0], [1], [2], [3]]
    assert converter.order_by_wins([2, 2, 2, 2, 2, 2]) == [[3], [2], [1], [0]]


def test_no_preference_between_two_is_a_tie():
    """1 and 2 tied, both better than 3 and 4, which are tied."""
    assert converter.order_by_wins([0, 1, 1, 1, 1, 0]) == [[0, 1], [2, 3]]
    assert converter.order_by_wins([0] * 6) == [[0, 1, 2, 3]]


def test_judgements_that_go_round_in_a_circle_are_tied_and_counted():
    """1 beats 2, 2 beats 3, 3 beats 1, and all beat 4: two wins each, so three ties are made."""
    judged = [1, 2, 1, 1, 1, 1]
    order = converter.order_by_wins(judged)
    assert order == [[0, 1, 2], [3]]
    assert converter.contradictions(judged, order) == (0, 3)


def test_a_judgement_against_the_wins_is_turned_round_and_counted():
    """4 beats 1 but nobody else: wins 2, 2, 1, 1, so 1 stands above 4, and two ties are made."""
    judged = [1, 1, 2, 1, 1, 1]
    order = converter.order_by_wins(judged)
    assert order == [[0, 1], [2, 3]]
    assert converter.contradictions(judged, order) == (1, 2)


def test_what_is_written_is_read_back_as_groups(tmp_path):
    row = {"question": "Who?", "passages": [["Title", "One.  Two."]], "preference": [1, 1, 1, 1, 1, 0]}
    row |= {f"prediction {number}": f"answer {number}" for number in range(1, 5)}
    with gzip.open(tmp_path / "qa.jsonl.gz", "wt") as file:
        file.write(json.dumps(row) + "\n" + json.dumps(row | {"question": "What?", "preference": [0] * 6}) + "\n")
    app = converter.typer.Typer()
    app.command()(converter.main)
    done = CliRunner().invoke(app, [str(tmp_path / "qa.jsonl.gz"), str(tmp_path / "out.jsonl"), "--passages"])
    assert done.exit_code == 0 and "2 groups" in done.stdout
    first, second = read(tmp_path / "out.jsonl")
    assert first.prompt.messages[0].content == "Title One. Two.\n\nWho?"
    texts = {completion.id: completion.text for completion in first.completions}
    assert [[texts[id] for id in tied] for tied in first.rankings[0].order] == [
        ["answer 1"],
        ["answer 2"],
        ["answer 3", "answer 4"],
    ]
    assert second.rankings[0].outcome == "indistinguishable"
