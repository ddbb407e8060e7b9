import xml.etree.ElementTree as ET

from report_examples import measures, report
from reward.report.plots import write_plots
from reward.report.report import read_report


def test_both_plots_are_svg_without_a_background(tmp_path):
    plots = write_plots(report(measures([1, 2, -1, 3] * 20, [1] * 80)), tmp_path)
    assert [plot.name for plot in plots] == ["calibration.svg", "learning_curve.svg"]
    for plot in plots:
        ET.parse(plot)
        assert "fill: #ffffff" not in plot.read_text()


def test_a_report_without_measures_has_no_plots(tmp_path):
    assert write_plots(report(None), tmp_path) == []


def test_the_same_report_gives_the_same_files(trained, tmp_path):
    for plot in write_plots(read_report(trained), tmp_path):
        assert plot.read_bytes() == (trained / plot.name).read_bytes()
