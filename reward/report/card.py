"""The model card: what the model is, how good it is, and how to load it, for readers who have only its folder."""

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

Gives a reward, a number, to a prompt with a completion. Of two completions of the same prompt, the one that people
prefer should get the higher reward. The model was trained on rankings, {method}.

## Evaluation

{report}
{plots}
## Usage

The reward is the logit. Apply the tokenizer's chat template to `{{"role", "content"}}` messages; it adds every special
token itself:

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

- Compare rewards only between completions of the same prompt.
- The model reflects the preferences of its annotators on prompts like theirs. It knows no facts.
- A policy trained against the model, or the best of many samples, will exploit it: the model will prefer completions
  that people don't.
- Conversations over {longest:,} tokens are truncated at the start.

## Provenance

Data: {version}sha256 `{data}` of {comparisons:,} comparisons. Chat template: sha256 `{template}`. Base model:
{base_model}, revision `{revision}`. The same store, seed ({seed}) and package versions (`workbench.json`) give the same
model.
"""


def model_card(report: Report, plots: Sequence[Path], longest: int) -> str:
    """Return the README.md of the model's folder; `longest` is the most tokens that the model reads."""
    images = "".join(f"\n![{plot.stem.replace('_', ' ')}]({plot.name})\n" for plot in plots)
    method = f"by fine-tuning {report.base_model} with a scalar head on its last layer"
    if report.tuning is None:
        method = (
            f"as a linear Bradley-Terry head on the last token of layer {report.layer} of\n{report.base_model}, "
            "whose own weights are unchanged"
        )
    return CARD.format(
        method=method,
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
