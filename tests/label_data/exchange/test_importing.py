"""Files come into the store all or not at all, and the store goes into a file."""

import gzip
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.exchange.exporting import export_file
from label_data.exchange.importing import NOT_READ, import_files, preview, saved_upload
from label_data.formats.pairs import NO_QUESTION, NOT_LAST_TURN, SAME_TEXT
from label_data.oversight.check import problems
from label_data.oversight.progress import origins, store_counts
from label_data.records import Ranking
from label_data.sentences import say
from label_data.store.adding import Added, add_groups
from label_data.store.projects import add_project
from label_data.store.single_records import save_ranking
from label_data.store.stored_groups import groups
from store_fixtures import on_sqlite
from tests.support.reasons import lost_field

TURN = "\n\nHuman: Can pigs fly?\n\nAssistant: "
GOOD = {"chosen": TURN + "No.", "rejected": TURN + "Yes."}
ASKED = {"role": "user", "content": "Hi"}
NO, YES = {"role": "assistant", "content": "No."}, {"role": "assistant", "content": "Yes."}


def hh_file(tmp_path, *lines, name="pairs.jsonl"):
    path = tmp_path / name
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_what_was_added_was_there_already_and_was_left_out_is_told_apart(store, tmp_path):
    """Two equal rows and one without a preference: a prompt, two completions and a ranking are new; as many repeat."""
    path = hh_file(tmp_path, GOOD, GOOD, {"chosen": TURN, "rejected": TURN})
    result = import_files(store, [path], "hh-rlhf")
    assert result.added == result.repeated + Added() == Added(1, 2, 1)
    assert result.left_out == {SAME_TEXT: 1}
    again = import_files(store, [path], "hh-rlhf")
    assert (again.added, again.repeated) == (Added(), Added(2, 4, 2))
    assert store_counts(store) == Added(1, 2, 1)


def test_prompts_that_another_project_has_join_this_one_and_are_counted_as_that(store, tmp_path):
    """The ranking is of the project that it first came for; the prompt and its completions are in both."""
    path = hh_file(tmp_path, GOOD)
    import_files(store, [path], "hh-rlhf")
    other = add_project(store, "Other").id
    result = import_files(store, [path], "hh-rlhf", project=other)
    assert (result.added, result.repeated) == (Added(joined=1), Added(0, 2, 1))
    assert store_counts(store, other).prompts == 1
    assert import_files(store, [path], "hh-rlhf", project=other).added == Added()


def test_several_files_are_one_transaction(store, tmp_path):
    good, bad = hh_file(tmp_path, GOOD), hh_file(tmp_path, {"chosen": TURN}, name="bad.jsonl")
    with pytest.raises(InputError, match=r"bad.jsonl, line 1, field rejected"):
        import_files(store, [good, bad], "hh-rlhf")
    assert store_counts(store) == Added()


@on_sqlite
def test_progress_counts_rows_over_all_files(store, tmp_path):
    counts = []
    import_files(
        store,
        [hh_file(tmp_path, GOOD), hh_file(tmp_path, GOOD, name="b.jsonl")],
        "hh-rlhf",
        on_progress=counts.append,
    )
    assert counts == [1, 2]


HOSTILE = {
    "NUL": json.dumps(GOOD | {"chosen": TURN + "\0"}),
    "raw NUL": '{"chosen": "\0"}',
    "lone surrogate": json.dumps(GOOD | {"chosen": TURN + "\ud800"}),
    "NaN": '{"chosen": NaN}',
    "name twice": '{"chosen": "a", "chosen": "b"}',
    "deep nesting": '{"chosen": ' + "[" * 200_000,
    "wrong type": '{"chosen": 5, "rejected": 5}',
    "wrong fields": '{"a": "b"}',
    "no object": "[]",
    "over-long line": f'{{"chosen": "{random.Random(0).randbytes(17 * 2**19).hex()}"}}',
    "over-long text": json.dumps(GOOD | {"chosen": TURN + "x" * 200_001}),
}


def content(store):
    return list(groups(store, revised=True))


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["bad.jsonl", "bad.jsonl.gz"])
def test_a_hostile_line_after_good_ones_leaves_the_store_as_it_was(ranked_store, tmp_path, line, name):
    before = content(ranked_store)
    with pytest.raises(InputError, match=rf"{name}, line 3"):
        import_files(ranked_store, [hh_file(tmp_path, GOOD, "", line, GOOD, name=name)], "hh-rlhf")
    assert content(ranked_store) == before
    assert store_counts(ranked_store) == Added(1, 3, 1)


@on_sqlite
@pytest.mark.parametrize("format_", ["hh-rlhf", "trl", "groups", "prompts"])
@pytest.mark.parametrize("name", ["a.jsonl.gz", "b.jsonl.gz", "c.jsonl", "d.parquet", "e.parquet", "f.jsonl"])
def test_a_hostile_file_leaves_the_store_as_it_was_whatever_it_is_said_to_hold(ranked_store, tmp_path, format_, name):
    path = tmp_path / name
    path.write_bytes(
        {
            "a": gzip.compress(json.dumps(GOOD).encode() * 99)[:-9],
            "b": gzip.compress(b"\x89PNG\r\n\x1a\n"),
            "c": gzip.compress(b"{}"),
            "d": b"PAR1 and nothing else",
            "e": b"",
            "f": b'{"unheard": "of"}\n',
        }[name[0]]
    )
    before = content(ranked_store)
    with pytest.raises(InputError, match=name):
        import_files(ranked_store, [path], format_)
    assert content(ranked_store) == before


@on_sqlite
def test_parquet_of_wrong_columns_is_refused_with_its_row(ranked_store, tmp_path):
    pq.write_table(pa.table({"chosen": [TURN + "No.", None], "rejected": [TURN + "Yes."] * 2}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a.parquet, row 2, field chosen: missing; the fields are chosen, rejected"):
        import_files(ranked_store, [tmp_path / "a.parquet"], "hh-rlhf")
    assert store_counts(ranked_store) == Added(1, 3, 1)


def test_a_ranking_that_contradicts_the_stored_one_of_its_name_is_refused_with_the_file(store, tmp_path):
    line = {"prompt": "Why?", "completions": [{"text": "a"}, {"text": "b"}]}
    ranking = {"annotator": "ana", "submission": "s"}
    path = tmp_path / "a.jsonl"
    path.write_text(
        "\n".join(json.dumps(line | {"rankings": [ranking | {"order": order}]}) for order in ([[1], [2]], [[2], [1]]))
    )
    with pytest.raises(
        InputError, match=r"a.jsonl, after 2 rows: Submission s is stored already with another judgement"
    ):
        import_files(store, [path], "groups")
    assert store_counts(store) == Added()


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("../../etc/cron.d/x.jsonl", ".jsonl"),
        ("/etc/passwd", ""),
        ("a.jsonl/../../x", ""),
        ("C:\\x.CSV", ".csv"),
        ("x\0.jsonl", ".jsonl"),
        ("x.js\0nl", ""),
        ("x." + "y" * 5_000, ""),
        ("..", ""),
        ("", ""),
        ("pairs.jsonl.gz", ".jsonl.gz"),
        ("\ud800.parquet", ".parquet"),
        ("pairs.JSON", ".json"),
        ("x.zip", ""),
    ],
)
def test_an_uploads_name_never_becomes_a_path(tmp_path, name, ending):
    (tmp_path / "inside").mkdir()
    path = saved_upload(tmp_path / "inside", name, b"content")
    assert path == tmp_path / "inside" / f"upload{ending}"
    assert [result.relative_to(tmp_path).as_posix() for result in sorted(tmp_path.rglob("*"))] == [
        "inside",
        f"inside/upload{ending}",
    ]
    assert path.read_bytes() == b"content"


@on_sqlite
def test_a_copy_of_a_file_gives_its_prompts_the_name_that_its_owner_knows(store, tmp_path):
    copy = saved_upload(tmp_path, "mine.jsonl", b'{"prompt": "Can pigs fly?"}')
    import_files(store, [copy], called="mine.jsonl")
    (group,) = groups(store)
    assert group.prompt.source == "mine.jsonl"
    (first,) = preview([copy], called="mine.jsonl", source="the archive").first
    assert first.prompt.source == "the archive"


def revise(store):
    """Add a ranking that replaces the one that is there, in the opposite order, and return it."""
    (group,) = groups(store)
    (first,) = group.rankings
    again = Ranking(group.prompt.id, first.annotator, first.shown, first.order[::-1], revises=first.submission)
    save_ranking(store, again)
    return again


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".parquet"])
def test_groups_take_everything_along_revised_rankings_included(ranked_store, tmp_path, ending):
    again = revise(ranked_store)
    path = tmp_path / f"all{ending}"
    assert export_file(ranked_store, path, "groups").rows == 1
    other = open_store(tmp_path / "other.db")
    assert import_files(other, [path], "groups").added == Added(1, 3, 2)
    assert content(other) == content(ranked_store)
    assert [ranking.submission for group in groups(other) for ranking in group.rankings] == [again.submission]
    assert import_files(ranked_store, [path], "groups").repeated == Added(1, 3, 2)
    assert [list(problems(each)) for each in (ranked_store, other)] == [[], []]


@on_sqlite
def test_trl_gets_the_comparisons_of_current_rankings_alone(ranked_store, tmp_path):
    """Ann said first > second > third in the order shown, and then turned it round: three comparisons, turned."""
    again = revise(ranked_store)
    assert export_file(ranked_store, tmp_path / "a.jsonl", "trl").rows == 3
    (group,) = groups(ranked_store)
    best = next(completion.text for completion in group.completions if completion.id == again.order[0][0])
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["chosen"][0]["content"] == best


@on_sqlite
def test_a_margin_is_for_trl(ranked_store, tmp_path):
    export_file(ranked_store, tmp_path / "a.jsonl", "trl", with_margin=True)
    assert '"margin":0.0' in (tmp_path / "a.jsonl").read_text()
    with pytest.raises(
        InputError, match=r"Format groups has no margin. Leave the margin out, or use one of: ms-swift, openrlhf, trl,"
    ):
        export_file(ranked_store, tmp_path / "b.jsonl", "groups", with_margin=True)


def test_exporting_changes_nothing_in_the_store_and_twice_gives_the_same_bytes(ranked_store, tmp_path):
    before = content(ranked_store)
    for ending in (".jsonl", ".jsonl.gz", ".parquet"):
        for name in ("one", "two"):
            export_file(ranked_store, tmp_path / f"{name}{ending}", "groups")
        assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"two{ending}").read_bytes()
    assert content(ranked_store) == before


@on_sqlite
def test_an_empty_store_has_nothing_to_export(store, tmp_path):
    add_groups(store, [])
    with pytest.raises(InputError, match=r"there is nothing to write\. Rank some prompts or import rankings first\.$"):
        export_file(store, tmp_path / "a.jsonl", "groups")
    assert not (tmp_path / "a.jsonl").exists()


def test_an_export_that_leaves_everything_out_says_why(tmp_path):
    store = open_store(tmp_path / "store.db")
    import_files(store, [hh_file(tmp_path, GOOD)], "hh-rlhf")
    with pytest.raises(InputError, match=r"Left out: .*1 x prompt without a demonstration"):
        export_file(store, tmp_path / "a.jsonl", "trl-sft")
    assert not (tmp_path / "a.jsonl").exists()


@on_sqlite
def test_a_preview_is_what_an_import_finds_and_stores_nothing(store, tmp_path):
    """Four rows of which two are alike and one has no preference; each prompt that was read counts."""
    same = {"chosen": TURN, "rejected": TURN}
    path = hh_file(tmp_path, GOOD, GOOD, same, GOOD | {"chosen": TURN + "Never."})
    reported = []
    seen = preview([path], on_progress=reported.append)
    assert (seen.found, seen.left_out, reported) == (Added(3, 6, 3), {SAME_TEXT: 1}, [1, 2, 3])
    assert seen.files == ((str(path), say("label_data.datasets.is_hh_rlhf"), 3),)
    assert [group.completions[0].text for group in seen.first] == ["No.", "No.", "Never."]
    assert store_counts(store) == Added()
    result = import_files(store, [path])
    assert result.added + result.repeated == seen.found
    assert (result.files, result.left_out) == (seen.files, seen.left_out)


def test_a_preview_shows_three_groups_and_refuses_what_an_import_does(tmp_path):
    rows = [{"chosen": TURN + str(place), "rejected": TURN + "No."} for place in range(5)]
    assert [group.completions[0].text for group in preview([hh_file(tmp_path, *rows)]).first] == ["0", "1", "2"]
    with pytest.raises(InputError, match=r"pairs.jsonl, line 2, field rejected"):
        preview([hh_file(tmp_path, GOOD, {"chosen": TURN + "x"})])


@on_sqlite
def test_a_folder_is_every_file_of_a_known_ending_in_it_each_by_its_own_format(store, tmp_path):
    """Sorted by path; the table is read as one, the hidden copy is passed by, the picture and the licence counted."""
    folder = tmp_path / "set"
    (folder / "data" / ".cache").mkdir(parents=True)
    hh_file(folder / "data", GOOD, name="b.jsonl.gz")
    hh_file(folder / "data" / ".cache", {"a": 1}, name="c.jsonl")
    (folder / "a.csv").write_text("prompt,chosen,rejected\nCan pigs fly?,No.,Yes.\n")
    (folder / "LICENSE").write_text("MIT")
    (folder / "pig.png").write_bytes(b"\x89PNG")
    result = import_files(store, [folder])
    assert [(path, str(kind)) for path, kind, _ in result.files] == [
        (str(folder / "a.csv"), "table of pairs"),
        (str(folder / "data" / "b.jsonl.gz"), "hh-rlhf, whole transcripts"),
    ]
    assert result.added == Added(1, 2, 2)
    assert result.left_out == {NOT_READ: 2}
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no file name in this folder ends in one of .jsonl"):
        preview([folder / "empty"])


@on_sqlite
def test_source_and_licence_are_kept_with_a_prompt_the_first_time_it_comes(store, tmp_path):
    path = hh_file(tmp_path, GOOD)
    import_files(store, [path], source="Anthropic/hh-rlhf", licence="MIT")
    import_files(store, [path], source="a copy", licence="unknown")
    (group,) = groups(store)
    assert (group.prompt.source, group.prompt.licence) == ("Anthropic/hh-rlhf", "MIT")
    line = {"prompt": "Why?", "source": "hand", "licence": "CC0", "completions": []}
    (tmp_path / "hand.jsonl").write_text(json.dumps(line))
    import_files(store, [tmp_path / "hand.jsonl"], "groups")
    assert origins(store) == {("Anthropic/hh-rlhf", "MIT"): 1, ("hand", "CC0"): 1}
    export_file(store, tmp_path / "all.jsonl", "groups")
    assert {line.partition('"licence":"')[2][:3] for line in (tmp_path / "all.jsonl").read_text().splitlines()} == {
        "MIT",
        "CC0",
    }
    assert [group.prompt.licence for group in preview([tmp_path / "all.jsonl"]).first] == ["MIT", "CC0"]


@pytest.mark.parametrize(
    "row",
    [
        {"chosen": [{"role": "user", "content": "Hi", "tool_calls": []}, NO], "rejected": [ASKED, YES]},
        {"prompt": [ASKED], "chosen": [NO | {"name": "x", "weight": None}], "rejected": [YES | {"tool_calls": [1]}]},
        {"messages": [ASKED | {"tool_calls": [1], "name": "ann"}]},
        {"messages": [ASKED | {"tool_calls": [1]}], "completions": [{"text": "No."}], "rankings": []},
    ],
)
def test_fields_of_a_message_that_no_record_has_are_counted_in_every_format(tmp_path, row):
    """Each row has one call of tools, an empty list of them too; what is null counts as not there."""
    counted = preview([hh_file(tmp_path, row)]).left_out
    assert counted.pop(lost_field("tool_calls", "formats.a_message")) == 1
    assert set(counted) <= {lost_field("name", "formats.a_message"), NOT_LAST_TURN, NO_QUESTION}
