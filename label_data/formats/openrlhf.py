r"""What OpenRLHF trains on: two whole conversations a row, and a margin. JSON lines (.jsonl, .jsonl.gz) or Parquet.

{"chosen":   [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}],
 "rejected": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "Yes."}], "margin": 2.0}

Its reward and DPO trainers take this with apply_chat_template on, chosen_key chosen, rejected_key rejected and no
prompt_key: the prompt is then all turns but the last. `margin` is read where it stands, 0 elsewhere, and used with the
margin loss switched on. The rows are those of trl_implicit.py, and read as those.

Source: https://github.com/OpenRLHF/OpenRLHF, openrlhf/datasets/reward_dataset.py, preprocess_data and RewardDataset
(commit 0008ea1a8b; in version 0.7.0 and after)
"""

from label_data.formats.trl_implicit import write, write_preferred

__all__ = ["NAME", "write", "write_preferred"]
NAME = "openrlhf"
