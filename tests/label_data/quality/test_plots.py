"""Plots of a quality report: one for each question that has an answer."""

import xml.etree.ElementTree as ET

from label_data.quality.plots import MOST_ROWS, write_plots
from label_data.quality.report import quality
from planted_people import judged


def test_only_what_has_numbers_is_drawn(tmp_path):
    """No times were measured, so there is no pace; one annotator meets nobody, so there is no agreement."""
    drawn = write_plots(quality([judged(f"q{number}", {"ana": "a>b"}) for number in range(6)]), tmp_path)
    assert [path.stem for _, path in drawn] == ["position", "places", "leaderboard", "wins"]
    for _, path in drawn:
        ET.parse(path)
        assert "fill: #ffffff" not in path.read_text()


def test_of_very_many_annotators_those_with_the_most_judgements_are_drawn_and_it_is_said(tmp_path):
    people = {f"annotator {number}": "a>b" for number in range(MOST_ROWS + 5)}
    write_plots(quality([judged(f"q{number}", people) for number in range(2)]), tmp_path)
    assert (
        f"<!-- The {MOST_ROWS} of {MOST_ROWS + 5} with the most judgements -->"
        in (tmp_path / "position.svg").read_text()
    )


def test_a_name_with_dollar_signs_is_no_mathematics(tmp_path):
    write_plots(quality([judged("q", {"$\\broken{$": "a>b"})]), tmp_path)
    ET.parse(tmp_path / "position.svg")
