"""RewardBench's protocols, checked against cases worked out by hand."""

import json
import math

import pytest
from typer.testing import CliRunner

from label_data.errors import InputError
from reward.__main__ import app
from reward.evaluation.rewardbench import (
    SECTIONS,
    one_of_many,
    read_benchmark,
    result_of,
    run_benchmark,
    section_scores,
    strict_win,
    ties_score,
)
from reward.model.model import RewardModel


def first_version(id, subset, prompt="Why?", chosen="abc abc", rejected="vwx vwx"):
    models = {"chosen_model": "x", "rejected_model": "y"}
    return {"id": id, "subset": subset, "prompt": prompt, "chosen": chosen, "rejected": rejected, **models}


def second_version(id, subset, chosen, rejected, prompt="Why?"):
    counts = {"num_correct": len(chosen), "num_incorrect": len(rejected)}
    total = {"total_completions": len(chosen) + len(rejected), "models": ["m"] * (len(chosen) + len(rejected))}
    return {"id": id, "subset": subset, "prompt": prompt, "chosen": chosen, "rejected": rejected, **counts, **total}


def written(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_tie_of_two_counts_as_lost():
    assert [strict_win(1.0, 0.5), strict_win(0.5, 1.0), strict_win(0.5, 0.5)] == [1, 0, 0]


def test_one_of_four_shares_the_first_place():
    assert one_of_many([2.0, 1.0, 0.0, 1.5]) == 1
    assert one_of_many([2.0, 2.0, 0.0, 2.0]) == pytest.approx(1 / 3)
    assert one_of_many([1.0, 2.0, 0.0, 0.0]) == 0
    assert one_of_many([1.0] * 4) == 0.25


def test_sections_weigh_their_subsets_by_the_published_counts():
    """math-prm counts as 984 and the six of code as 164 each, 984 together: half and half.

    Chat: 100 of 358 are alpacaeval-easy. A section without rows has no score.
    """
    code = {f"hep-{name}": 1.0 for name in ("cpp", "go", "java", "js", "python", "rust")}
    assert section_scores({"math-prm": 0.0, **code}) == {"Reasoning": 0.5}
    chat = dict.fromkeys(SECTIONS["Chat"], 0.0) | {"alpacaeval-easy": 1.0}
    assert section_scores(chat)["Chat"] == pytest.approx(100 / 358)
    assert section_scores({"mt-bench-hard": 0.5, "llmbar-natural": 1.0})["Chat Hard"] == pytest.approx(118.5 / 137)


def test_the_weights_are_those_of_the_benchmark():
    """2,985 prompts, with math-prm's 447 of them counted as 984."""
    assert sum(sum(counts.values()) for counts in SECTIONS.values()) == 2_985 + 984 - 447


def test_the_ties_subset_worked_out_by_hand():
    """Question 1: ref 3 against 1 (gap 2); tied 5, 4 against 1 (gap 3, spread 1): right both ways, 3 > 1, 2 > 1, and
    tanh(2 / 1 - 1) = 0.7616. Question 2: ref 0 against 1 (gap -1); tied 5, 1 against 0 (gap 1, spread 4): tied alone is
    right, 1 < 4, -1 < 4, tanh(-1 / 4 - 1) = -0.8483.
    0.3 x 1 + 0.3 x 0.5 + 0.2 x 0.5 + 0.2 x 0.5 + 0.01 x (0.7616 - 0.8483) / 2 = 0.6496.
    """
    rows = [
        ("ref:1", [3.0, 1.0], 1),
        ("tied:1", [5.0, 4.0, 1.0], 2),
        ("ref:2", [0.0, 1.0], 1),
        ("tied:2", [5.0, 1.0, 0.0], 2),
    ]
    assert ties_score(rows) == pytest.approx(0.6496, abs=1e-4)
    assert ties_score(rows[::-1]) == pytest.approx(ties_score(rows))


def test_right_completions_with_equal_scores_have_a_spread_of_0():
    """Spread 0: a gap over it is infinite, tanh of which is 1: 0.3 + 0.3 + 0.2 + 0.2 + 0.01. Where all scores are equal
    0 / 0 counts as 0, and nothing is right: 0.
    """
    assert ties_score([("ref:1", [2.0, 1.0], 1), ("tied:1", [3.0, 3.0, 1.0], 2)]) == pytest.approx(1.01)
    assert ties_score([("ref:1", [1.0, 1.0], 1), ("tied:1", [1.0, 1.0, 1.0], 2)]) == 0


def test_a_question_that_appears_only_one_way_counts_only_in_that_accuracy():
    assert ties_score([("ref:1", [2.0, 1.0], 1)]) == pytest.approx(0.3)
    assert ties_score([("tied:1", [2.0, 3.0, 1.0], 2)]) == pytest.approx(0.3)


@pytest.mark.parametrize("row", [("other:1", [1.0, 0.0], 1), ("ref", [1.0, 0.0], 1), ("tied:1", [1.0, 0.0], 1)])
def test_a_row_with_a_wrong_id_or_too_few_right_completions_is_named(row):
    with pytest.raises(InputError, match=r"subset Ties"):
        ties_score([row])


def test_the_score_of_version_2_is_the_plain_mean_of_six(tmp_path):
    """Five subsets right in 1, 1, 0, 0 and half of its rows, and Ties of 1.01, whatever their numbers of rows."""
    wrong = ["b", "c", "d"]
    rows = [second_version(str(n), name, ["a"], wrong) for n, name in enumerate(("Factuality", "Focus", "Math"))]
    rows += [second_version("3", "Precise IF", ["a"], wrong), second_version("4", "Safety", ["a"], wrong)]
    rows += [second_version("5", "Safety", ["a"], wrong)]
    rows += [second_version("ref:0", "Ties", ["a"], ["b"]), second_version("tied:0", "Ties", ["a", "c"], ["b"])]
    benchmark = read_benchmark([written(tmp_path / "v2.jsonl", *rows)])
    scores = [[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [1, 0], [1, 1, 0]]
    result = result_of("m", benchmark, scores, 0)
    assert result.subsets["Ties"] == pytest.approx(1.01)
    assert result.score == pytest.approx((1 + 1 + 0 + 0 + 0.5 + 1.01) / 6)
    assert math.isnan(result_of("m", read_benchmark([written(tmp_path / "one.jsonl", rows[0])]), scores[:1], 0).score)


def test_a_model_scores_files_of_version_1_and_writes_the_published_format(trained, tmp_path):
    """The trained model likes abc and dislikes vwx: it wins the first two, loses the third, and ties on equal texts."""
    rows = [
        first_version(7, "alpacaeval-easy"),
        first_version(8, "alpacaeval-easy", prompt="How?"),
        first_version(9, "donotanswer", chosen="vwx vwx", rejected="abc abc"),
        first_version(10, "donotanswer", chosen="abc", rejected="abc"),
    ]
    benchmark = read_benchmark([written(tmp_path / "v1.jsonl", *rows)])
    result = run_benchmark(str(trained), benchmark, tmp_path / "out")
    assert result.sections == {"Chat": 1, "Safety": 0}
    assert "no score" in result.as_markdown() and "alpacaeval-easy 2 / 100" in result.as_markdown()
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == {
        "model": str(trained),
        "model_type": "Seq. Classifier",
        "chat_template": "tokenizer",
        "alpacaeval-easy": 1.0,
        "donotanswer": 0.0,
    }
    kept = [json.loads(line) for line in (tmp_path / "out" / "scores.jsonl").read_text().splitlines()]
    assert [(row["id"], row["subset"], row["results"]) for row in kept] == [
        (7, "alpacaeval-easy", 1),
        (8, "alpacaeval-easy", 1),
        (9, "donotanswer", 0),
        (10, "donotanswer", 0),
    ]
    chosen, rejected = RewardModel.load(trained).score([{"role": "user", "content": "Why?"}], ["abc abc", "vwx vwx"])
    assert (kept[0]["scores_chosen"], kept[0]["scores_rejected"]) == pytest.approx((chosen, rejected), abs=1e-5)
    assert kept[3]["scores_chosen"] == pytest.approx(kept[3]["scores_rejected"], abs=0)


def test_the_command_scores_version_2(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    rows = [
        second_version("1", "Focus", ["abc abc"], ["vwx", "xyz", "wvw"]),
        second_version("tied:0", "Ties", ["abc", "bcd"], ["xyz"]),
    ]
    file = written(tmp_path / "v2.jsonl", *rows)
    done = CliRunner().invoke(app, ["rewardbench", str(trained), str(file), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    focus, ties = [json.loads(line) for line in (tmp_path / "out" / "scores.jsonl").read_text().splitlines()]
    request = ([{"role": "user", "content": "Why?"}], ["abc abc", "vwx", "xyz", "wvw"])
    assert focus["scores"] == pytest.approx(RewardModel.load(trained).score(*request), abs=1e-5)
    assert focus["scores"] == focus["scores_chosen"] + focus["scores_rejected"]
    assert (ties["results"], ties["num_correct"]) == (None, 2)
    right = max(focus["scores"]) == focus["scores_chosen"][0]
    assert focus["results"] == right and f"| Focus | {100 * right:.1f} | 1 |" in done.stdout


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "a", "chosen": "b", "rejected": "c"}], "neither RewardBench 1 nor 2"),
        ([first_version(1, "hep-go"), second_version("1", "Math", ["a"], ["b"])], "other version"),
        ([first_version(1, "hep-go"), first_version(1, "hep-go")], "appears twice"),
        ([first_version(None, "hep-go")], "field id"),
        ([second_version("1", "Math", ["a", "b"], ["c"])], "2 correct completions"),
        ([second_version("1", "Math", ["a"], [])], "there is no completion"),
    ],
)
def test_a_row_that_does_not_belong_to_the_benchmark_is_refused_by_line(tmp_path, rows, message):
    with pytest.raises(InputError, match=message) as error:
        read_benchmark([written(tmp_path / "bench.jsonl", *rows)])
    assert f"line {len(rows)}" in str(error.value)
