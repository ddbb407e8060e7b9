import pytest

from label_data.errors import InputError
from label_data.files.whole import check_free, whole_folder


def test_a_folder_appears_when_all_of_it_is_written(tmp_path):
    with whole_folder(tmp_path / "runs" / "model") as created:
        (created / "weights").write_text("1")
        assert not (tmp_path / "runs" / "model").exists()
    assert (tmp_path / "runs" / "model" / "weights").read_text() == "1"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["model"]


def test_an_error_on_the_way_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "model") as created:
        (created / "weights").write_text("1")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_processes_that_make_one_folder_wins(tmp_path):
    with pytest.raises(FileExistsError), whole_folder(tmp_path / "model") as second:
        with whole_folder(tmp_path / "model") as first:
            (first / "weights").write_text("first")
        (second / "weights").write_text("second")
    assert (tmp_path / "model" / "weights").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_with_something_in_it_is_refused_and_an_empty_one_is_not(tmp_path):
    check_free(tmp_path / "new")
    check_free(tmp_path)
    (tmp_path / "file").write_text("kept")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="exists already"):
            check_free(taken)
