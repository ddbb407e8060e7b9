"""Public data sets: the sample record on top of each format's file is recognised, and read as what it says.

Expected values are what the sample says by its own field names. Every field of every sample is then replaced by what
it may not be: that is refused, or left out, and never a crash.
"""

import copy
import csv
import json
import re
from collections import Counter
from itertools import product

import pytest

from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.exchange import known_formats as formats
from label_data.exchange.importing import import_files
from label_data.exchange.known_formats import READERS, recognised
from label_data.formats.ranked_rows import ONE_COMPLETION
from label_data.oversight.progress import store_counts
from label_data.sentences import say
from label_data.store.adding import Added
from label_data.store.stored_groups import groups
from tests.support.paths import ROOT
from tests.support.reasons import lost_field


@pytest.fixture
def address(sqlite_store):
    """Return the address of a store on SQLite alone: these tests are about files and wording, not about SQL."""
    return sqlite_store


def samples(module):
    """Return the records in the docstring, between its first sentence and the next paragraph.

    Each is a JSON object, or a list of those that only make sense together.
    """
    text, result = module.__doc__, []
    text = text[re.search(r"\n[{\[]", text).start() :]
    while text.lstrip().startswith(("{", "[")):
        record, end = json.JSONDecoder().raw_decode(text.lstrip())
        result.append(record)
        text = text.lstrip()[end:]
    return result


def told(group):
    """Return (last message, texts, policies) and for each ranking (annotator, order in texts, strength, source)."""
    text = {completion.id: completion.text for completion in group.completions}
    rankings = [
        (ranking.annotator, [[text[one] for one in tied] for tied in ranking.order], ranking.strength, ranking.source)
        for ranking in group.rankings
    ]
    policies = [completion.policy for completion in group.completions]
    return group.prompt.messages[-1].content, list(text.values()), policies, rankings


PIGS, NO_YES = "Can pigs fly?", ["No.", "Yes."]
NO_FIRST = [["No."], ["Yes."]]
SCORES = "GPT-4's overall_score (UltraFeedback)"
SUMMARY = "SUBREDDIT: r/cooking\nTITLE: Dough\nPOST: I froze my dough …\nTL;DR:"
DOUGH = ["Froze dough.", "Dough!"]
READ = [
    ("argilla", "Argilla records, nested", PIGS, NO_YES, ["", ""], [("u1", NO_FIRST, (), "import")]),
    ("argilla", "Argilla records, flattened", PIGS, NO_YES, ["", ""], [("u1", [NO_YES], (), "import")]),
    ("label_studio", "Label Studio tasks", PIGS, NO_YES, ["", ""], [("annotator 7", NO_FIRST, (), "import")]),
    ("label_studio", "Label Studio tasks", PIGS, NO_YES, ["", ""], [("annotator 7", NO_FIRST, (), "import")]),
    (
        "label_studio",
        "Label Studio annotations (JSON_MIN)",
        PIGS,
        NO_YES,
        ["", ""],
        [("annotator 7", NO_FIRST, (), "import")],
    ),
    ("helpsteer", "HelpSteer2 preference", PIGS, NO_YES, ["", ""], [("annotator 1", NO_FIRST, (2,), "import")]),
    ("helpsteer", "HelpSteer3 preference", PIGS, NO_YES, ["", ""], [("annotator 1", NO_FIRST, (2,), "import")]),
    (
        "helpsteer_ratings",
        "HelpSteer ratings, ordered by helpfulness",
        PIGS,
        NO_YES,
        ["", ""],
        [("helpfulness, the mean of several annotators (HelpSteer)", NO_FIRST, (), "derived")],
    ),
    ("lmarena", "LMArena 33k or 100k votes", PIGS, NO_YES, ["x", "y"], [("arena_user_1", [], (), "import")]),
    ("lmarena", "LMArena 55k votes", PIGS, NO_YES, ["x", "y"], [("a visitor of LMArena", NO_FIRST, (), "import")]),
    (
        "multipref",
        "MultiPref",
        PIGS,
        NO_YES,
        ["gpt-4-turbo", "llama-2-70b"],
        [("normal w1", NO_FIRST, (2,), "import"), ("expert e1", [NO_YES], (), "import")],
    ),
    (
        "nectar",
        "Nectar, ranked by GPT-4",
        PIGS,
        NO_YES,
        ["gpt-4", "llama-2-7b"],
        [("GPT-4's ranks (Nectar)", NO_FIRST, (), "model")],
    ),
    ("nemo_rl", "NeMo-RL preference", PIGS, NO_YES, ["", ""], [("nemo-rl", NO_FIRST, (), "import")]),
    (
        "open_assistant",
        "Open-Assistant trees",
        PIGS,
        NO_YES,
        ["", ""],
        [("several people, summed up (Open-Assistant)", NO_FIRST, (), "import")],
    ),
    ("rewardbench", "RewardBench 1", PIGS, NO_YES, ["x", "y"], [("rewardbench", NO_FIRST, (), "import")]),
    (
        "rewardbench",
        "RewardBench 2",
        PIGS,
        ["No.", "Yes.", "On Sundays.", "42."],
        ["x", "y", "y", "z"],
        [("rewardbench", [["No."], ["Yes.", "On Sundays.", "42."]], (), "import")],
    ),
    (
        "shp",
        "SHP, ordered by votes on Reddit",
        "Can I freeze dough?",
        ["Yes.", "No."],
        ["", ""],
        [("votes on Reddit (SHP)", [["Yes."], ["No."]], (), "derived")],
    ),
    (
        "summaries",
        "summarize-from-feedback comparisons",
        SUMMARY,
        DOUGH,
        ["sup4", "ref"],
        [("w17", [[text] for text in DOUGH], (3,), "import")],
    ),
    (
        "ultrafeedback",
        "UltraFeedback, ordered by GPT-4's scores",
        PIGS,
        NO_YES,
        ["a", "b"],
        [(SCORES, NO_FIRST, (), "model")],
    ),
    (
        "ultrafeedback",
        "UltraFeedback binarized, ordered by GPT-4's scores",
        PIGS,
        NO_YES,
        ["", ""],
        [(SCORES, NO_FIRST, (), "model")],
    ),
    ("axolotl", "axolotl, Bradley-Terry", PIGS, NO_YES, ["", ""], [("axolotl", NO_FIRST, (), "import")]),
    (
        "llama_factory",
        "LLaMA-Factory pairs, sharegpt form",
        PIGS,
        NO_YES,
        ["", ""],
        [("llama-factory", NO_FIRST, (), "import")],
    ),
    (
        "llama_factory",
        "LLaMA-Factory pairs, alpaca form",
        PIGS,
        NO_YES,
        ["", ""],
        [("llama-factory", NO_FIRST, (), "import")],
    ),
    ("ms_swift", "ms-swift pairs", PIGS, NO_YES, ["", ""], [("ms-swift", NO_FIRST, (), "import")]),
    ("trl_sft", "demonstrations, as conversations", PIGS, [], [], []),
    ("hh_rlhf", "hh-rlhf, whole transcripts", PIGS, ["No, they have no wings.", "Yes."], ["", ""], None),
    ("trl", "TRL or OpenRLHF preference, conversational, prompt explicit", PIGS, None, ["", ""], None),
    ("groups", "groups, this project's own format", PIGS, ["No.", "Yes.", "Pigs have no wings, so no."], None, None),
]
NTH = Counter()
CASES = []
for expected in READ:
    module = getattr(formats, expected[0])
    CASES.append(
        pytest.param(
            module, samples(module)[NTH[expected[0]]], *expected[1:], id=f"{expected[1]}, {NTH[expected[0]] + 1}"
        )
    )
    NTH[expected[0]] += 1


def file_of(tmp_path, *records, name="data.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def rows_of(record):
    return record if isinstance(record, list) else [record]


def test_every_sample_of_every_format_is_among_the_cases():
    for module in formats.FORMATS:
        if module not in (formats.prompts, formats.pairs_table, formats.spreadsheet):
            assert len(samples(module)) == NTH[module.__name__.rpartition(".")[2]], module.__name__


@pytest.mark.parametrize(("module", "record", "message", "asked", "texts", "policies", "rankings"), CASES)
def test_the_sample_is_recognised_and_read_as_what_it_says(
    tmp_path, module, record, message, asked, texts, policies, rankings
):
    path = file_of(tmp_path, *rows_of(record))
    name, kind = recognised(path)
    assert (name, str(kind)) == (module.NAME, message)
    (group,) = READERS[module.NAME](path)
    result = told(group)
    assert result[0] == asked
    for given, expected in zip(result[1:], (texts, policies, rankings), strict=True):
        assert expected is None or given == expected
    assert group.prompt.source == "data.jsonl"


def test_importing_all_of_them_without_a_word_and_again_adds_nothing(store, tmp_path):
    paths = [file_of(tmp_path, *rows_of(case.values[1]), name=f"{place}.jsonl") for place, case in enumerate(CASES)]
    first = import_files(store, paths)
    counts = store_counts(store)
    assert [str(kind) for _, kind, _ in first.files] == [case.values[2] for case in CASES]
    assert {rows for _, _, rows in first.files} == {1}
    assert import_files(store, paths).added == Added()
    assert store_counts(store) == counts


def test_they_may_be_one_json_list(tmp_path):
    for case in CASES:
        (tmp_path / "a.json").write_text(json.dumps(rows_of(case.values[1]) * 2, indent=1))
        assert str(recognised(tmp_path / "a.json")[1]) == case.values[2]


WRONG = [5, -1, True, 1e300, "", "x", [], {}, ["x"], [5], [{}], [[]], {"x": 1}, "x" * 200_001, None]


def ways(value):
    """Yield the way to each value inside, itself included."""
    yield ()
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inside in inner:
        yield from ((name, *way) for way in ways(inside))


def changed(record, way, value):
    record = copy.deepcopy(record)
    at = record
    for name in way[:-1]:
        at = at[name]
    at[way[-1]] = value
    return record


@pytest.mark.parametrize(("module", "record"), [case.values[:2] for case in CASES], ids=[case.id for case in CASES])
def test_a_field_of_any_other_value_is_refused_or_read_and_never_a_crash(tmp_path, module, record):
    """A file that is refused names the line; one that is read has sound groups, which check themselves."""
    for way, value in product(list(ways(record))[1:], WRONG):
        rows = rows_of(changed(record, way, value))
        path = file_of(tmp_path, *rows)
        try:
            list(READERS[module.NAME](path, Counter()))
        except InputError as error:
            assert any(f"{path}, line {line}" in str(error) for line in range(1, len(rows) + 1)), (way, value)
            assert len(str(error)) <= 1_000


def read_one(tmp_path, module, place, left_out=None, **fields):
    record = samples(module)[place] | fields
    return list(READERS[module.NAME](file_of(tmp_path, record), left_out))


def orders(found):
    return [ranking[1] for ranking in told(found[0])[3]]


def test_the_55k_votes_are_read_from_the_csv_that_they_are_published_as(tmp_path):
    path = tmp_path / "train.csv"
    columns = ("id", "model_a", "model_b", "prompt", "response_a", "response_b", *formats.lmarena.VOTES)
    asked, answers = json.dumps([PIGS]), [json.dumps([text]) for text in ("No,\nnever.", "Yes.")]
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows([id, "x", "y", asked, *answers, *votes] for id, votes in ((1, (0, 0, 1)), (2, (0, 1, 0))))
    assert recognised(path) == ("lmarena", say("label_data.datasets.is_lmarena_55k"))
    left_out = Counter()
    first, second = READERS["lmarena"](path, left_out)
    assert told(first)[:3] == (PIGS, ["No,\nnever.", "Yes."], ["x", "y"])
    assert orders([first]) == [[["Yes."], ["No,\nnever."]]]
    assert orders([second]) == [[["No,\nnever.", "Yes."]]]
    assert left_out == {lost_field("id"): 2}
    path.write_text(path.read_text().replace("0,0,1", "0,0,maybe"))
    with pytest.raises(InputError, match="field winner_model_b: found"):
        list(READERS["lmarena"](path))


@pytest.mark.parametrize("winner", ["tie (bothbad)", "both_bad"])
def test_both_spellings_of_both_bad_are_one_outcome(tmp_path, winner):
    (group,) = read_one(tmp_path, formats.lmarena, 0, winner=winner)
    assert [ranking.outcome for ranking in group.rankings] == ["all_bad"]


def test_an_arena_vote_may_be_a_tie_or_for_b_and_a_stood_on_the_left(tmp_path):
    assert orders(read_one(tmp_path, formats.lmarena, 0, winner="tie")) == [[NO_YES]]
    (group,) = read_one(tmp_path, formats.lmarena, 0, winner="model_b")
    assert orders([group]) == [[["Yes."], ["No."]]]
    assert group.rankings[0].shown == tuple(completion.id for completion in group.completions)
    assert group.rankings[0].submitted == 1_682_351_591_100_000
    assert group.prompt.category == "English"
    both = {"winner_model_a": 0, "winner_tie": 1}
    assert orders(read_one(tmp_path, formats.lmarena, 1, **both)) == [[NO_YES]]


def test_parts_of_140k_are_joined_and_pictures_and_parted_conversations_are_counted(tmp_path):
    def sides(parts):
        asked = {"role": "user", "content": parts}
        return {
            f"conversation_{side}": [asked, {"role": "assistant", "content": [{"type": "text", "text": side}]}]
            for side in "ab"
        } | {"evaluation_session_id": "s1", "judge": None, "winner": "model_a"}

    (group,) = read_one(tmp_path, formats.lmarena, 0, **sides([{"type": "text", "text": PIGS, "image": None}]))
    assert told(group)[:2] == (PIGS, ["a", "b"])
    assert group.rankings[0].annotator == "session s1"
    left_out = Counter()
    assert not read_one(tmp_path, formats.lmarena, 0, left_out, **sides([{"type": "image", "image": {}}]))
    assert left_out[say("label_data.datasets.row_with_picture")] == 1
    early = {f"response_{side}": json.dumps([side, "end"]) for side in "ab"} | {"prompt": '["1", "2"]'}
    assert not read_one(tmp_path, formats.lmarena, 1, left_out, **early)
    assert left_out[say("label_data.formats.not_last_turn")]


def test_all_annotators_of_helpsteer_are_kept_with_their_reasons_and_ties(tmp_path):
    each = [{"strength": strength, "statement": str(strength)} for strength in (-3, 0, 1)]
    (group,) = read_one(tmp_path, formats.helpsteer, 0, all_preferences_unprocessed=each)
    assert [(ranking[0], ranking[1], ranking[2]) for ranking in told(group)[3]] == [
        ("annotator 1", NO_FIRST, (3,)),
        ("annotator 2", [NO_YES], ()),
        ("annotator 3", NO_FIRST[::-1], (1,)),
    ]
    assert [ranking.reason for ranking in group.rankings] == ["-3", "0", "1"]


def test_a_helpsteer_row_without_annotators_has_their_sum_and_a_prompt_may_have_turns(tmp_path):
    asked = "a<extra_id_1>Assistant\nb\n<extra_id_1>User\nc"
    (group,) = read_one(tmp_path, formats.helpsteer, 0, all_preferences_unprocessed=None, prompt=asked)
    assert told(group)[3] == [("several annotators, summed up (HelpSteer)", NO_FIRST, (2,), "import")]
    assert [(turn.role, turn.content) for turn in group.prompt.messages] == [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]


def rated(prompt, *ratings):
    return [{"prompt": prompt, "response": f"{prompt} {place}", "helpfulness": of} for place, of in enumerate(ratings)]


def test_helpsteer_ratings_of_a_prompt_are_one_ranking_that_keeps_them_and_says_it_was_derived(tmp_path):
    rows = [*rated("a", 0, 4, 0), *rated("b<extra_id_1>Assistant\nx\n<extra_id_1>User\ny", 3, 1), *rated("c", 2)]
    left_out = Counter()
    first, second = formats.helpsteer_ratings.read(file_of(tmp_path, *rows), left_out)
    assert orders([first]) == [[["a 1"], ["a 0", "a 2"]]]
    assert list(first.rankings[0].ratings.values()) == [1, 5, 1]
    assert [turn.content for turn in second.prompt.messages] == ["b", "x", "y"]
    assert left_out == {ONE_COMPLETION: 1}


@pytest.mark.parametrize("wrong", [2.5, 5, -1, None])
def test_a_helpsteer_rating_is_a_whole_number_from_0_to_4(tmp_path, wrong):
    with pytest.raises(InputError, match=r"data.jsonl, line 2, field helpfulness: (found|missing).*\. "):
        list(formats.helpsteer_ratings.read(file_of(tmp_path, *rated("a", 3, wrong))))


def test_more_than_nine_helpsteer_rows_of_one_prompt_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"data.jsonl, line 10, field prompt: found more than 9 rows"):
        list(formats.helpsteer_ratings.read(file_of(tmp_path, *rated("a", *[1] * 10))))


def test_a_ten_for_one_of_ultrafeedback_is_not_placed_and_counted(tmp_path):
    left_out = Counter()
    scores = [(10, 1.0), (3, 3.0), (3, 2.0)]
    answers = [
        {"model": "m", "response": str(place), "overall_score": score, "fine-grained_score": fine, "critique": "."}
        for place, (score, fine) in enumerate(scores)
    ]
    result = read_one(tmp_path, formats.ultrafeedback, 0, left_out, completions=answers)
    assert orders(result) == [[["1", "2"]]]
    assert left_out == {formats.ultrafeedback.TEN_FOR_ONE: 1, lost_field("critique", "datasets.a_completion"): 3}


def test_equal_scores_of_the_binarized_form_are_a_tie(tmp_path):
    assert orders(read_one(tmp_path, formats.ultrafeedback, 1, score_rejected=8.5)) == [[NO_YES]]


@pytest.mark.parametrize(
    ("choice", "confidence", "strength"),
    [(0, 1, (3,)), (0, 3, (2,)), (0, 4, (1,)), (0, 5, ()), (0, 6, ()), (1, 9, (3,)), (1, 4, ())],
)
def test_the_confidence_of_a_summary_lies_on_the_axis_between_the_two(tmp_path, choice, confidence, strength):
    (group,) = read_one(tmp_path, formats.summaries, 0, choice=choice, extra={"confidence": confidence})
    (ranking,) = group.rankings
    assert ranking.order[0] == (group.completions[choice].id,)
    assert ranking.strength == strength


def test_equal_ranks_are_ties_in_nectar_and_nemo_rl(tmp_path):
    answers = [{"answer": text, "model": text, "rank": rank} for text, rank in (("a", 2.0), ("b", 1.0), ("c", 2.0))]
    assert orders(read_one(tmp_path, formats.nectar, 0, answers=answers)) == [[["b"], ["a", "c"]]]
    ranked = [{"rank": 0, "completion": [{"role": "assistant", "content": text}]} for text in "ab"]
    assert orders(read_one(tmp_path, formats.nemo_rl, 0, completions=ranked)) == [[["a", "b"]]]


def test_each_person_of_open_assistant_is_kept_at_each_question_of_the_tree(tmp_path):
    def reply(name, *replies, role="assistant", **fields):
        return {"message_id": name, "text": name, "role": role, "replies": list(replies)} | fields

    events = [
        {"type": "ranking", "user_id": "u1", "ranking": [1, 0], "ranked_message_ids": ["m2", "m1"]},
        {"type": "ranking", "user_id": "u2", "ranking": [], "ranked_message_ids": [], "not_rankable": True},
        {"type": "ranking", "user_id": "u3", "ranking": [0, 1], "ranked_message_ids": ["gone", "m1"]},
    ]
    below = reply("q2", reply("m4", rank=1), reply("m5", rank=0), reply("gone", deleted=True), role="prompter")
    tree = reply("q1", reply("m1", below), reply("m2", emojis={"x": 1}), role="prompter", events={"ranking": events})
    left_out = Counter()
    first, second = read_one(tmp_path, formats.open_assistant, 0, left_out, prompt=tree)
    assert [(ranking.annotator, ranking.outcome) for ranking in first.rankings] == [("u1", "ranked"), ("u2", "all_bad")]
    assert orders([first]) == [[["m2"], ["m1"]], []]
    assert [turn.content for turn in second.prompt.messages] == ["q1", "m1", "q2"]
    assert orders([second]) == [[["m5"], ["m4"]]]
    assert left_out == {
        say("label_data.datasets.deleted_message"): 1,
        lost_field("emojis", "formats.a_message"): 1,
        formats.open_assistant.ORDER_IS_GONE: 1,
    }


def test_a_csv_of_pairs_may_have_columns_of_any_name(store, tmp_path):
    (tmp_path / "a.csv").write_text('question,better,worse,who,x\n"Can\npigs fly?",No.,=1+1,ana,1\nWhy?,So.,Hm.,,\n')
    names = {"prompt": "question", "chosen": "better", "rejected": "worse", "annotator": "who"}
    result = import_files(store, [tmp_path / "a.csv"], names=names)
    assert result.files[0][1:] == (say("label_data.formats.is_pairs_table"), 2)
    assert result.left_out == {lost_field("x"): 1}
    assert sorted(map(told, groups(store))) == [
        ("Can\npigs fly?", ["No.", "=1+1"], ["", ""], [("ana", [["No."], ["=1+1"]], (), "import")]),
        ("Why?", ["So.", "Hm."], ["", ""], [("table", [["So."], ["Hm."]], (), "import")]),
    ]
    with pytest.raises(InputError, match="has fixed field names"):
        import_files(store, [file_of(tmp_path, samples(formats.shp)[0])], names=names)


def test_what_argilla_wrote_is_read_with_records_that_nobody_has_ranked(tmp_path):
    """As argilla 2.8.0's to_list writes three records, and a question of several labels: it is no ranking.

    The nested form has no status. The flattened form has null where another record has a response.
    """
    value = [{"value": "reply-1", "rank": 1}, {"value": "reply-2", "rank": 2}]
    texts = {"prompt": PIGS, "reply-1": "No.", "reply-2": "Yes."}
    beside = {"status": "pending", "_server_id": None}
    labels = {"value": ["kind", "brief"], "user_id": "u1"}
    given = [
        {"order": [{"value": value, "user_id": "u1"}, {"value": value[::-1], "user_id": "u2"}], "labels": [labels]},
        {"labels": [labels]},
        {},
    ]
    nested = file_of(tmp_path, *({"fields": texts, "responses": one, **beside} for one in given))
    left_out = Counter()
    (group,) = formats.argilla.read(nested, left_out)
    assert told(group)[3] == [("u1", NO_FIRST, (), "import"), ("u2", NO_FIRST, (), "import")]
    assert left_out == {formats.argilla.NO_STATUS: 2, formats.argilla.NOT_RANKED: 2}
    names = [f"{name}.responses{part}" for name in ("order", "labels") for part in ("", ".users", ".status")]
    rows = [
        dict(zip(names, ([value, value], ["u1", "u2"], ["submitted", "draft"], *[None] * 3), strict=True)),
        dict(zip(names, (*[None] * 3, [["kind"]], ["u1"], ["submitted"]), strict=True)),
        dict.fromkeys(names),
    ]
    left_out = Counter()
    (group,) = formats.argilla.read(file_of(tmp_path, *(texts | beside | row for row in rows)), left_out)
    assert told(group)[3] == [("u1", NO_FIRST, (), "import")]
    assert left_out == {formats.argilla.DRAFT: 1, formats.argilla.NOT_RANKED: 2}


def test_options_of_argilla_are_mapped_and_drafts_and_discards_told_apart(tmp_path):
    value = [{"value": "a", "rank": 2}, {"value": "b", "rank": 1}]
    responses = [
        {"user_id": "u1", "status": "submitted", "value": value},
        {"user_id": "u2", "status": "draft", "value": value},
        {"user_id": "u3", "status": "discarded", "value": None},
    ]
    record = {"fields": {"instruction": PIGS, "one": "No.", "two": "Yes.", "note": "x"}, "metadata": {"model": "m"}}
    path = file_of(tmp_path, record | {"responses": {"order": responses, "stars": [{"user_id": "u1", "value": 4}]}})
    left_out = Counter()
    with pytest.raises(InputError, match=r"field fields\.prompt: found null\. Write a list of messages"):
        list(formats.argilla.read(path))
    (group,) = formats.argilla.read(path, left_out, {"prompt": "instruction", "a": "one", "b": "two"})
    assert told(group)[3] == [("u1", NO_FIRST[::-1], (), "import"), ("u3", [], (), "import")]
    assert [ranking.outcome for ranking in group.rankings] == ["ranked", "skipped"]
    assert left_out == {
        say("label_data.formats.draft"): 1,
        lost_field("note"): 1,
        lost_field("metadata"): 1,
    }


def test_label_studio_keeps_everybody_and_maps_sides(tmp_path):
    def annotation(person, *results, **fields):
        return {"completed_by": person, "result": list(results)} | fields

    def side(which):
        return {"type": "pairwise", "value": {"selected": which}}

    task = {"data": {"q": PIGS, "x": "No.", "y": "Yes.", "topic": "birds"}} | {
        "annotations": [
            annotation(1, side("left"), lead_time=2.5),
            annotation({"id": 2, "email": "a@b.c"}, side("right")),
            annotation(3, was_cancelled=True),
            annotation(4, {"type": "textarea", "value": {"text": ["x"]}}),
        ]
    }
    left_out = Counter()
    names = {"prompt": "q", "left": "x", "right": "y"}
    (group,) = formats.label_studio.read(file_of(tmp_path, task), left_out, names)
    assert [(ranking.annotator, ranking.outcome, ranking.seconds) for ranking in group.rankings] == [
        ("annotator 1", "ranked", 2.5),
        ("annotator 2", "ranked", None),
        ("annotator 3", "skipped", None),
    ]
    assert orders([group]) == [NO_FIRST, NO_FIRST[::-1], []]
    assert left_out == {
        say("label_data.formats.no_result"): 1,
        say("label_data.formats.other_result"): 1,
        lost_field("topic", "formats.task_data"): 1,
    }


def test_every_annotation_of_json_min_is_kept_with_when_it_was_made_whatever_its_control_is_called(store, tmp_path):
    """As Label Studio's converter writes a Pairwise and a Ranker project; the third annotation has neither result."""
    task = {"id": 1, "q": PIGS, "items": [{"id": "a", "body": "No."}, {"id": "b", "body": "Yes."}], "topic": "birds"}
    created = {
        "created_at": "2024-03-29T05:39:54.721157Z",
        "updated_at": "2024-03-29T05:52:32.001770Z",
        "lead_time": 37.4,
    }
    path = file_of(
        tmp_path,
        task | {"my order": [{"ranker": {"rank": ["b", "a"], "_": []}}], "annotator": 4, "annotation_id": 1, **created},
        task | {"my order": [{"ranker": ["a", "b"]}], "annotator": "b@c.d", "annotation_id": 2, **created},
        task | {"notes": ["x"], "annotator": 5, "annotation_id": 3, **created},
        task | {"annotator": "", "annotation_id": None, "created_at": None, "updated_at": None, "lead_time": None},
    )
    result = import_files(store, [path], names={"prompt": "q"})
    (group,) = groups(store)
    assert sorted((one[0], one[1]) for one in told(group)[3]) == [
        ("annotator 4", NO_FIRST[::-1]),
        ("annotator b@c.d", NO_FIRST),
    ]
    assert {(ranking.seconds, ranking.submitted) for ranking in group.rankings} == {(37.4, 1_711_690_794_721_157)}
    assert result.left_out == {
        say("label_data.formats.no_result"): 2,
        lost_field("topic"): 4,
        lost_field("notes"): 1,
        lost_field("updated_at"): 3,
    }


@pytest.mark.parametrize("ranker", [{"rank": ["b", "a"], "_": ["c"]}, {"control": ["b", "a"]}, ["b", "a"]])
def test_a_ranker_may_have_buckets_and_what_is_in_no_rank_is_not_placed(tmp_path, ranker):
    items = [{"id": name, "body": name} for name in "abc"]
    annotations = [{"completed_by": 1, "result": [{"type": "ranker", "value": {"ranker": ranker}}]}]
    result = read_one(tmp_path, formats.label_studio, 1, data={"prompt": PIGS, "items": items}, annotations=annotations)
    assert orders(result) == [[["b"], ["a"]]]


def test_the_alpaca_form_may_have_a_system_text_earlier_turns_and_an_input(tmp_path):
    pair = {"instruction": "Translate.", "input": "Schwein", "chosen": "Pig.", "rejected": "Swine."}
    row = pair | {"system": "Be brief.", "history": [["Hello.", "Hello!"]], "note": "x"}
    left_out = Counter()
    [group] = formats.llama_factory.read(file_of(tmp_path, row), left_out)
    assert [(turn.role, turn.content) for turn in group.prompt.messages] == [
        ("system", "Be brief."),
        ("user", "Hello."),
        ("assistant", "Hello!"),
        ("user", "Translate.\nSchwein"),
    ]
    assert left_out == {lost_field("note"): 1}
    with pytest.raises(InputError, match=r"data.jsonl, line 1, field history: .*Write pairs of texts"):
        list(formats.llama_factory.read(file_of(tmp_path, pair | {"history": [["Hello."]]})))


def test_two_equal_completions_are_left_out_with_a_count(tmp_path):
    left_out = Counter()
    assert not read_one(tmp_path, formats.shp, 0, left_out, human_ref_B="Yes.")
    assert left_out[say("label_data.formats.same_text")] == 1
    assert left_out[lost_field("post_id")] == 1


def test_what_no_format_has_is_refused_with_the_formats_that_there_are(tmp_path):
    with pytest.raises(InputError, match=r"data.jsonl, line 1: no known format has the fields a, b\. .*helpsteer"):
        recognised(file_of(tmp_path, {"a": 1, "b": 2}))


def test_the_documentation_names_every_format_that_is_read():
    documented = (ROOT / "docs" / "formats.md").read_text().split("## Out")[0]
    assert [name for name in READERS if f"`{name}`" not in documented] == []


def test_text_and_csv_are_prompts(tmp_path):
    (tmp_path / "a.txt").write_text("Why?\n")
    (tmp_path / "b.csv").write_text("prompt\nWho?\n")
    store = open_store(tmp_path / "store.db")
    assert import_files(store, [tmp_path / "a.txt", tmp_path / "b.csv"]).added == Added(2)
    assert sorted(group.prompt.messages[0].content for group in groups(store)) == ["Who?", "Why?"]
