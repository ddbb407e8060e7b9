"""The model card: what the model is, how well it does, and how to load it, for somebody who has only the folder."""

from collections.abc import Sequence
from pathlib import Path

from reward.report.report import Report
from reward.report.words import report_markdown

CARD = """---
library_name: transformers
pipeline_tag: text-classification
tags: [reward-model]
---

# Reward model

A number for a prompt and a completion: of two completions of one prompt, the one people would prefer should get the
higher. It was learned from rankings, {how}.

## How good it is

{report}
{plots}
## How to use it

The reward is the logit. `{{"role", "content"}}` messages go through the tokenizer's chat template, which writes every
special token itself:

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForSequenceClassification.from_pretrained(FOLDER)
turns = [{{"role": "user", "content": PROMPT}}, {{"role": "assistant", "content": COMPLETION}}]
text = tokenizer.apply_chat_template(turns, tokenize=False)
inputs = tokenizer(text, add_special_tokens=False, truncation=True, return_tensors="pt")
reward = model(**inputs).logits[0, 0].item()
```

With the workbench: `python -m reward score FOLDER --prompt "…" --completion "…" --completion "…"`.

## Limits

- Rewards compare completions of one prompt. Between prompts they mean nothing.
- It knows the taste of the annotators whose rankings it saw, on prompts like theirs, and no facts.
- A policy that is trained against it, or picks the best of many, will find completions that it likes and people don't.
- Conversations over {longest:,} tokens lose their start.

## Where it came from

Data: {version}sha256 `{data}` over {comparisons:,} comparisons. Chat template: sha256 `{template}`. Base model:
{base_model}, revision `{revision}`. The same store, seed ({seed}) and versions (`workbench.json`) give the same model.
"""


def model_card(report: Report, plots: Sequence[Path], longest: int) -> str:
    """Return the README.md of the model's folder."""
    images = "".join(f"\n![{plot.stem.replace('_', ' ')}]({plot.name})\n" for plot in plots)
    how = f"by fine-tuning {report.base_model} with a head of one number on its last layer"
    if report.tuning is None:
        how = (
            f"as a linear Bradley-Terry head on the last token of layer {report.layer} of\n{report.base_model}, "
            "whose own weights were not changed"
        )
    return CARD.format(
        how=how,
        base_model=report.base_model,
        report=report_markdown(report),
        plots=images,
        longest=longest,
        data=report.data_sha256,
        version=f"version `{report.version}` (sha256 `{report.version_sha256}`), " if report.version else "",
        comparisons=report.counts.train_comparisons + report.counts.held_out_comparisons,
        template=report.template_sha256,
        revision=report.base_revision,
        seed=report.seed,
    )
