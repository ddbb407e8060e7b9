from reward.finetuning.checkpoints import checkpoint_folder, drop_partial, last_whole, mark_whole, step_of


def test_the_last_whole_checkpoint_is_the_one_of_the_highest_step_and_those_cut_off_are_removed(tmp_path):
    assert last_whole(tmp_path / "none yet") is None
    for step in (9, 10, 11):
        checkpoint_folder(tmp_path, step).mkdir()
        (checkpoint_folder(tmp_path, step) / "model.safetensors").write_bytes(b"weights")
    assert last_whole(tmp_path) is None
    for step in (9, 10):
        mark_whole(checkpoint_folder(tmp_path, step))
    assert step_of(last_whole(tmp_path)) == 10
    (tmp_path / "notes.txt").write_text("mine")
    drop_partial(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-9", "notes.txt"]
