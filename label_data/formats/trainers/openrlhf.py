r"""Pairs for OpenRLHF: two whole conversations a row, and a margin. JSON lines (.jsonl) or Parquet.

{"chosen":   [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "No."}],
 "rejected": [{"role": "user", "content": "Can pigs fly?"}, {"role": "assistant", "content": "Yes."}], "margin": 2.0}

Run its reward and DPO trainers with apply_chat_template, chosen_key chosen, rejected_key rejected and no prompt_key:
the prompt is then all turns but the last. `margin` is read if the column exists, is 0 otherwise, and is used if the
margin loss is switched on. The rows are those of trl_implicit.py, and are read as such. OpenRLHF looks at the last
ending of a file's name and takes .gz for the name of a data set.

Source: https://github.com/OpenRLHF/OpenRLHF, openrlhf/datasets/reward_dataset.py, preprocess_data and RewardDataset,
and datasets/utils.py, blending_datasets; version 0.11.2, whose loader read what is written here
(benchmarks/compatibility/other_trainers.py)
"""

from dataclasses import replace

from label_data.formats.trainers import trl_implicit

NAME = "openrlhf"
PAIRS = replace(trl_implicit.PAIRS, name=NAME, endings=(".jsonl", ".parquet"))
