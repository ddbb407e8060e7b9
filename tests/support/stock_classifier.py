"""Rewards that plain transformers computes from a reward model's folder."""

import json
import os
import subprocess
import sys

STOCK = """
import json, sys
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
folder, question, completions = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder)
turns = [[{"role": "user", "content": question}, {"role": "assistant", "content": text}] for text in completions]
texts = [tokenizer.apply_chat_template(one, tokenize=False) for one in turns]
found = {"dtype": str(model.dtype), "labels": model.config.num_labels}
for side in ("right", "left"):
    tokenizer.padding_side = side
    batch = tokenizer(texts, add_special_tokens=False, padding=True, truncation=True, return_tensors="pt")
    found[side] = model(**batch).logits[:, 0].tolist()
found["pipeline"] = [one["score"] for one in pipeline("text-classification", model=model, tokenizer=tokenizer)(texts)]
print(json.dumps(found))
"""


def stock_rewards(folder, question, completions):
    """Return the rewards that plain transformers computes in a new process without this project."""
    command = [sys.executable, "-c", STOCK, str(folder), question, json.dumps(completions)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
