"""Each trainer's own form of a pair, as its loader indexes it, and of what it has no place for, a count."""

import json
from collections import Counter

import pyarrow.parquet as pq
import pytest

from label_data.errors import InputError
from label_data.exchange.known_formats import FILE_ENDINGS, PAIR_WRITERS, WITH_MARGIN, WRITERS, recognised
from label_data.formats.pair_rows import STRENGTH_LOST, Pair
from label_data.formats.pairs import NOT_LAST_TURN
from label_data.formats.trainers import axolotl, llama_factory, ms_swift, trl_text
from label_data.records import Completion, Group, Message, Prompt, Ranking
from label_data.sentences import say

SYSTEM, USER = Message("system", "Be brief."), Message("user", "Can pigs fly?")
HELLO, AGAIN = Message("assistant", "Hello."), Message("user", "And hens?")


def ranked(*messages, order=((0,), (1,)), **fields):
    prompt = Prompt(messages)
    completions = tuple(Completion(prompt.id, text) for text in ("No.", "Yes.", "Perhaps.")[: sum(map(len, order))])
    ids = [completion.id for completion in completions]
    ranks = tuple(tuple(ids[place] for place in tied) for tied in order)
    return Group(prompt, completions, (Ranking(prompt.id, "ana", tuple(ids), ranks, **fields),))


def rows_of(tmp_path, name, *groups, **options):
    left_out = Counter()
    path = tmp_path / "rows.jsonl"
    assert WRITERS[name](path, groups, left_out, **options) == len(path.read_text().splitlines())
    return [json.loads(line) for line in path.read_text().splitlines()], +left_out


def turn(role, content):
    return {"role": role, "content": content}


ASKED, NO, YES = turn("user", "Can pigs fly?"), turn("assistant", "No."), turn("assistant", "Yes.")
ROWS = {
    "trl": {"prompt": [ASKED], "chosen": [NO], "rejected": [YES], "margin": 2.0},
    "trl-implicit": {"chosen": [ASKED, NO], "rejected": [ASKED, YES], "margin": 2.0},
    "trl-text": {"prompt": "Can pigs fly?", "chosen": "No.", "rejected": "Yes.", "margin": 2.0},
    "openrlhf": {"chosen": [ASKED, NO], "rejected": [ASKED, YES], "margin": 2.0},
    "ms-swift": {"messages": [ASKED, NO], "rejected_response": "Yes.", "margin": 2.0},
    "nemo-rl-pairs": {
        "context": [ASKED],
        "completions": [{"rank": 0, "completion": [NO]}, {"rank": 1, "completion": [YES]}],
    },
    "llama-factory": {
        "conversations": [{"from": "human", "value": "Can pigs fly?"}],
        "chosen": {"from": "gpt", "value": "No."},
        "rejected": {"from": "gpt", "value": "Yes."},
    },
    "axolotl": {"system": "", "input": "Can pigs fly?", "chosen": "No.", "rejected": "Yes."},
}


@pytest.mark.parametrize("name", PAIR_WRITERS)
def test_a_row_is_what_the_trainer_reads(tmp_path, name):
    options = {"with_margin": True} if name in WITH_MARGIN else {}
    rows, left_out = rows_of(tmp_path, name, ranked(USER, strength=(2,)), **options)
    assert rows == [ROWS[name]]
    without_system = {axolotl.NO_SYSTEM: 1} if name == "axolotl" else {}
    assert left_out == without_system | ({} if name in WITH_MARGIN else {STRENGTH_LOST: 1})


@pytest.mark.parametrize("name", PAIR_WRITERS)
def test_parquet_holds_the_same_row(tmp_path, name):
    group = ranked(USER, strength=(2,))
    options = {"with_margin": True} if name in WITH_MARGIN else {}
    WRITERS[name](tmp_path / "rows.parquet", [group], **options)
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == [ROWS[name]]


@pytest.mark.parametrize("name", PAIR_WRITERS)
def test_pairs_made_in_another_way_are_written_as_they_are(tmp_path, name):
    """Turned round, as an aggregation of several annotators may have it."""
    group = ranked(USER)
    no, yes = group.completions
    assert PAIR_WRITERS[name](tmp_path / "rows.jsonl", [Pair(group.prompt.as_json, yes.text, no.text)]) == 1
    text = (tmp_path / "rows.jsonl").read_text()
    if name == "llama-factory":
        assert json.loads(text)["chosen"]["value"] == "Yes."
    elif name in ("ms-swift", "nemo-rl-pairs"):
        assert text.index("Yes.") < text.index("No.") or json.loads(text).get("rejected_response") == "No."
    else:
        assert "Yes." in str(json.loads(text)["chosen"])


@pytest.mark.parametrize("name", ["llama-factory", "ms-swift", "openrlhf"])
def test_an_ending_that_the_trainer_does_not_open_is_refused(tmp_path, name):
    """They go by the file's last ending, and know no .gz: OpenRLHF 0.11.2 takes it for the name of a data set."""
    with pytest.raises(InputError, match=r"Use one of .jsonl, .parquet\."):
        WRITERS[name](tmp_path / "rows.jsonl.gz", [ranked(USER)])
    with pytest.raises(InputError, match=r"Use one of .jsonl, .parquet\."):
        PAIR_WRITERS[name](tmp_path / "rows.jsonl.gz", [])
    assert FILE_ENDINGS[name] == (".jsonl", ".parquet")


def test_a_text_can_hold_one_turn_only(tmp_path):
    transcript = Message("user", "\n\nHuman: Hi")
    rows, left_out = rows_of(
        tmp_path, "trl-text", ranked(SYSTEM, USER), ranked(USER, HELLO, AGAIN), ranked(transcript), ranked(USER)
    )
    assert len(rows) == 1
    assert left_out == {trl_text.TURNS: 3}


def test_axolotl_has_a_system_column_always_and_single_turns_only(tmp_path):
    rows, left_out = rows_of(
        tmp_path, "axolotl", ranked(SYSTEM, USER), ranked(USER, HELLO, AGAIN), ranked(Message("system", ""), USER)
    )
    assert [row["system"] for row in rows] == ["Be brief.", ""]
    assert left_out == {axolotl.TURNS: 1, axolotl.EMPTY_SYSTEM: 1, axolotl.NO_SYSTEM: 1}


@pytest.mark.parametrize("module", [llama_factory, ms_swift])
def test_prompts_that_a_trainer_skips_or_joins_are_left_out_and_an_empty_system_message_is_counted(tmp_path, module):
    """Two turns of the user's, and a conversation that the assistant begins; ms-swift 4.6.0 makes "ab" of "a", "b"."""
    nothing = Message("system", "")
    rows, left_out = rows_of(
        tmp_path,
        module.NAME,
        *(ranked(SYSTEM, USER, HELLO, AGAIN), ranked(nothing, USER), ranked(USER)),
        *(ranked(USER, AGAIN), ranked(HELLO, AGAIN), ranked(SYSTEM, USER, AGAIN)),
    )
    assert len(rows) == 3
    assert left_out == {module.NOT_ALTERNATING: 3, module.EMPTY_SYSTEM: 1}


@pytest.mark.parametrize(
    ("rejected", "order"),
    [
        ("Yes.", [["No."], ["Yes."]]),
        (["Yes.", "Perhaps."], [["No."], ["Perhaps.", "Yes."]]),
        ([YES], [["No."], ["Yes."]]),
    ],
)
def test_ms_swifts_rejected_response_is_a_text_or_texts_or_the_messages_of_one(tmp_path, rejected, order):
    path, left_out = tmp_path / "rows.jsonl", Counter()
    path.write_text(json.dumps({"messages": [ASKED, NO], "rejected_response": rejected}))
    (group,) = ms_swift.read(path, left_out)
    texts = {completion.id: completion.text for completion in group.completions}
    assert [sorted(texts[id] for id in tied) for tied in group.rankings[0].order] == order
    assert +left_out == {}


def test_several_rejected_turns_of_ms_swift_are_no_completion(tmp_path):
    path, left_out = tmp_path / "rows.jsonl", Counter()
    path.write_text(json.dumps({"messages": [ASKED, NO], "rejected_response": [YES, YES]}))
    assert list(ms_swift.read(path, left_out)) == []
    assert left_out == {NOT_LAST_TURN: 1}


def test_llama_factory_gets_conversations_by_turns_and_an_entry_beside_those_it_has(tmp_path):
    (tmp_path / "dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')
    rows, left_out = rows_of(tmp_path, "llama-factory", ranked(SYSTEM, USER, HELLO, AGAIN), ranked(USER, AGAIN))
    assert [turn["from"] for turn in rows[0]["conversations"]] == ["system", "human", "gpt", "human"]
    assert left_out == {llama_factory.NOT_ALTERNATING: 1}
    assert json.loads((tmp_path / "dataset_info.json").read_text()) == {
        "mine": {"file_name": "mine.json"},
        "rows": {
            "file_name": "rows.jsonl",
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
        },
    }


def test_a_dataset_info_that_is_none_is_left_alone_and_nothing_is_written(tmp_path):
    (tmp_path / "dataset_info.json").write_text("[]")
    with pytest.raises(InputError, match=r"dataset_info.json: found no JSON object in it"):
        llama_factory.PAIRS.write(tmp_path / "rows.jsonl", [ranked(USER)])
    assert [path.name for path in tmp_path.iterdir()] == ["dataset_info.json"]


def test_nemo_rl_gets_a_ranking_of_any_number_with_ties_as_equal_ranks(tmp_path):
    rows, left_out = rows_of(tmp_path, "nemo-rl", ranked(USER, order=((2,), (0, 1)), strength=(1,)))
    ranks = [(one["rank"], one["completion"][0]["content"]) for one in rows[0]["completions"]]
    assert ranks == [(0, "Perhaps."), (1, "No."), (1, "Yes.")]
    assert left_out == {say("label_data.trainers.strength_lost"): 1}


def test_a_conversation_beside_a_rejected_message_is_no_demonstration(tmp_path):
    message = {"role": "assistant", "content": "No."}
    row = {
        "messages": [{"role": "user", "content": "Can pigs fly?"}, message],
        "rejected_message": message | {"content": "Yes."},
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    with pytest.raises(InputError, match="no known format has the fields"):
        recognised(tmp_path / "a.jsonl")
