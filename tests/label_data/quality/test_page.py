"""The report as a page and in the terminal: findings first, then plots, then tables."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from label_data.__main__ import app
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.quality.page import headline, tables, write_report
from label_data.quality.report import quality
from label_data.store.adding import add_groups
from label_data.store.projects import add_project
from planted_people import careful, judged, order_untold, planted, upwards


@pytest.fixture(scope="module")
def found():
    people = {"ana": careful(), "<b>ben</b>": careful(), "cem $x$": upwards(2.0)}
    return quality(planted(people, prompts=60, completions=3, ties=0.5))


@pytest.fixture(scope="module")
def written(found, tmp_path_factory):
    return write_report(found, tmp_path_factory.mktemp("reports") / "new" / "quality.html")


def test_the_page_has_what_to_do_before_the_plots_and_the_plots_before_the_tables(written):
    page, *plots = written
    text = page.read_text()
    assert text.index("Recommendations") < text.index("<img") < text.index("<table")
    assert [plot.stem for plot in plots] == [
        "agreement",
        "position",
        "places",
        "length",
        "speed",
        "leaderboard",
        "wins",
    ]
    for plot in plots:
        ET.parse(plot)
        assert f'src="quality.plots/{plot.name}"' in text
    assert sorted(path.name for path in page.parent.iterdir()) == ["quality.html", "quality.plots"]


def test_names_are_text_and_never_markup(written):
    text = written[0].read_text()
    assert "<b>ben" not in text and "&lt;b&gt;ben" in text


def test_the_same_report_gives_the_same_files(found, written, tmp_path):
    again = write_report(found, tmp_path / "quality.html")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


def test_every_table_has_a_cell_for_each_heading(found):
    created = list(tables(found))
    assert len(created) >= 15
    assert all(len(row) == len(table.head) for table in created for row in table.rows)
    agreements = next(table for table in created if str(table.title) == "Agreement")
    assert str(agreements.rows[0][0]) == "All annotators" and re.match(r"0\.\d{3} \[", str(agreements.rows[0][1]))


def test_a_report_on_nothing_has_neither_plots_nor_agreement(tmp_path):
    nothing = quality([])
    assert len(write_report(nothing, tmp_path / "quality.html")) == 1
    assert [str(sentence) for sentence in headline(nothing)] == [
        "0 rankings of 0 prompts by 0 annotators: 0 compared pairs, 0 of them tied."
    ]


def test_a_report_on_imported_rankings_says_that_their_order_is_not_known_and_has_nothing_on_places(tmp_path):
    result = quality(map(order_untold, planted({"ana": careful(), "ben": careful()}, prompts=30)))
    page, *plots = write_report(result, tmp_path / "quality.html")
    assert str(result.unknown_order) in page.read_text() and result.unknown_order in headline(result)
    assert {"position", "places"}.isdisjoint(plot.stem for plot in plots)
    titles = {table.title.key.rpartition(".")[2] for table in tables(result)}
    assert titles.isdisjoint({"table_position", "table_places"})
    assert "table_unchanged" not in titles and "table_length" in titles


def test_another_ending_is_refused(found, tmp_path):
    with pytest.raises(InputError, match=r"\.html, \.json"):
        write_report(found, tmp_path / "quality.pdf")
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_what_to_do_and_writes_the_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store(tmp_path / "store.db")
    add_groups(store, [judged(f"q{number}", {"ana": "a>b", "ben": "a>b"}) for number in range(3)])
    result = CliRunner().invoke(app, ["quality", "store.db", "--out", "quality.json"])
    assert result.exit_code == 0, result.output
    message = result.stdout.splitlines()
    assert message[0] == "6 rankings of 3 prompts by 2 annotators: 6 compared pairs, 0 of them tied."
    assert "Recommendations:" in message and message[-1] == "The report is quality.json, with 0 plots."
    assert json.loads((tmp_path / "quality.json").read_text())["counts"]["rankings"] == 6


def test_the_command_reports_on_one_project_as_the_page_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store(tmp_path / "store.db")
    add_groups(store, [judged("q1", {"ana": "a>b"})])
    add_groups(
        store, [judged("q2", {"ben": "a>b"}), judged("q3", {"ben": "b>a"})], project=add_project(store, "two").id
    )
    result = CliRunner().invoke(app, ["quality", "store.db", "--project", "two"])
    assert result.stdout.startswith("2 rankings of 2 prompts by 1 annotators"), result.output
    result = CliRunner().invoke(app, ["quality", "store.db"])
    assert result.exit_code == 1 and "Name one with --project" in result.output


def test_the_command_says_what_the_stores_repeats_and_gold_prompts_show(tmp_path, monkeypatch):
    """Ana is asked ten prompts again and says the same of eight, and gets nine of ten gold prompts right."""
    monkeypatch.chdir(tmp_path)

    def tested(question, answers, *purposes):
        group = judged(question, answers)
        given = zip(group.rankings, purposes, strict=True)
        return replace(group, rankings=tuple(replace(one, purpose=purpose) for one, purpose in given))

    groups = [
        tested(f"q{number}", {"ana": "a>b", "ana/2": "a>b" if number < 8 else "b>a"}, "", "repeat")
        for number in range(10)
    ]
    groups += [
        tested(f"g{number}", {"rae": "a>b", "ana": "a>b" if number < 9 else "b>a"}, "key", "gold")
        for number in range(10)
    ]
    add_groups(open_store(tmp_path / "store.db"), groups)
    result = CliRunner().invoke(app, ["quality", "store.db", "--out", "quality.json"])
    assert result.exit_code == 0, result.output
    assert "On hidden repeats, annotators prefer the same side in 0.800 [" in result.stdout
    assert "Annotators order 0.900 [" in result.stdout
    report = json.loads((tmp_path / "quality.json").read_text())
    assert report["self_consistency"]["ana"]["decided"]["value"] == 0.8
    assert report["gold"]["ana"] == report["gold"][""]
    assert report["gold"]["ana"]["value"] == 0.9


def test_the_command_refuses_another_ending_before_it_works_anything_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_store(tmp_path / "store.db")
    result = CliRunner().invoke(app, ["quality", "store.db", "--out", "quality.pdf"])
    assert (
        result.exit_code == 1 and "quality.pdf: the name has no known ending. Use one of .html, .json." in result.stderr
    )
