"""Data sets of the hub: one is streamed into a file, an export is put there with its card.

A local folder stands for a data set of the hub, as `datasets` allows; the server that takes the export speaks the
hub's own protocol, but for large files.
"""

import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from hub_server import TOKEN, running_hub
from label_data.__main__ import app
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.exchange.hub import NOT_FINITE, fetch
from label_data.exchange.importing import import_files, preview
from label_data.store.adding import Added
from label_data.store.stored_groups import groups


@pytest.fixture
def address(sqlite_store):
    """Return the address of a store on SQLite alone: these tests are about files and wording, not about SQL."""
    return sqlite_store


TURN = "\n\nHuman: Can pigs fly?\n\nAssistant: "
ROWS = [{"chosen": TURN + "No.", "rejected": TURN + "Yes."}, {"chosen": TURN + "Never.", "rejected": TURN + "Yes."}]


@pytest.fixture(scope="module")
def on_hub(tmp_path_factory):
    """Return the name of a data set with two splits, of one row each."""
    cache = pytest.MonkeyPatch()
    cache.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    folder = tmp_path_factory.mktemp("hub") / "pigs"
    folder.mkdir()
    for name, row in zip(("train", "test"), ROWS, strict=True):
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    yield f"hub:{folder}"
    cache.undo()


def test_a_data_set_is_imported_with_where_it_came_from_and_under_which_terms(store, on_hub):
    result = import_files(store, [on_hub], licence="mit")
    assert result.added == Added(1, 3, 2)
    assert [str(kind) for _, kind, _ in result.files] == ["hh-rlhf, whole transcripts"]
    (group,) = groups(store)
    assert (group.prompt.source, group.prompt.licence) == (on_hub, "mit")


def test_one_split_can_be_named(on_hub):
    assert preview([f"{on_hub}::test"]).found == Added(1, 2, 1)
    assert preview([f"{on_hub}:default:train"], source="pigs").first[0].prompt.source == "pigs"


@pytest.mark.parametrize("more", ["::validation", ":no-such", "/no/such"])
def test_what_is_not_there_is_said_in_a_sentence(on_hub, more):
    with pytest.raises(InputError, match=r"error from the hub: .* Check the name"):
        preview([on_hub + more])


def test_a_number_that_is_not_finite_is_read_as_none_and_counted(tmp_path):
    (tmp_path / "some").mkdir()
    scores = [[float("nan"), 0.5], [1.0]]
    pq.write_table(pa.table({"prompt": ["Why?", "Who?"], "scores": scores}), tmp_path / "some" / "a.parquet")
    left_out = Counter()
    file = fetch(f"hub:{tmp_path / 'some'}", tmp_path, left_out).file
    assert [json.loads(line)["scores"] for line in file.read_text().splitlines()] == [[None, 0.5], [1.0]]
    assert left_out == {NOT_FINITE: 1}


def exported(*arguments):
    """Return what the command says: (status, last line of output, errors)."""
    done = CliRunner().invoke(app, ["export", "--format", "trl", "--out", "pairs.jsonl", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout.splitlines()[-1], done.stderr


def test_an_export_is_put_on_the_hub_with_its_card_private_unless_told_otherwise(tmp_path, monkeypatch):
    line = {"prompt": "Why?", "completions": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}
    line |= {"rankings": [{"annotator": "ana", "order": [[1], [2, 3]]}], "source": "a | b", "licence": "MIT"}
    monkeypatch.chdir(tmp_path)
    Path("hand.jsonl").write_text(json.dumps(line))
    monkeypatch.setenv("WORKBENCH_STORE", "store.db")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    store = open_store("store.db")
    import_files(store, ["hand.jsonl"])
    store.dispose()
    with running_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        assert exported("--push-to-hub", "me/pigs") == (0, f"On the hub: {hub.url}/datasets/me/pigs/commit/abc", "")
        assert hub.private == {"me/pigs": True}
        assert hub.files["me/pigs"]["pairs.jsonl"] == Path("pairs.jsonl").read_bytes()
        card = hub.files["me/pigs"]["README.md"].decode()
        assert card.startswith(
            "---\nlicense: mit\nconfigs:\n- config_name: default\n  data_files: 'pairs.jsonl'\n---\n"
        )
        assert "holds 2 rows in the format trl" in card
        assert "| 1 | a \\| b | MIT |" in card
        assert "- 1 x: tie\n- The format has no place for: who ranked" in card
        assert exported("--push-to-hub", "me/open", "--public")[0] == 0
        assert hub.private["me/open"] is False
        monkeypatch.setenv("HF_TOKEN", "hf_wrong-one")
        status, shown, message = exported("--push-to-hub", "me/pigs")
    assert (status, message.count("\n")) == (1, 1)
    assert message.startswith("hub:me/pigs: error from the hub: ")
    assert "hf_wrong" not in shown + message
