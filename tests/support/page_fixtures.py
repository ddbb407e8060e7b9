"""A data folder in which every page has content, made without a model: texts, rankings, a report, jobs."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from label_data.assignment.answers import Answer, submit
from label_data.assignment.tasks import next_tasks
from label_data.database.engine import Store, open_store
from label_data.intervals import Estimate
from label_data.records import Completion, Message, Prompt
from label_data.settings import PolicySettings, ProjectSettings
from label_data.store.adding import add_prompts
from label_data.store.annotators import find_or_add_annotator
from label_data.store.jobs import DONE, FAILED, add_job, end_job, start_job
from label_data.store.projects import save_settings
from label_data.store.samples import save_samples
from reward.file_names import PROVENANCE_FILE, REPORT_FILE
from reward.metrics import CalibrationBin
from reward.report.comparison_rows import HeldOutSuspect, write_comparisons
from reward.report.report import Counts, CurvePoint, HeldOut, Report

ESTIMATE = Estimate(0.648, 0.598, 0.698, 345, 345)
COUNTS = Counts(1_726, 3, 5, 1, 2, 1_379, 1_379, 1_376, 345, 345, 345)
HELD_OUT = HeldOut(
    accuracy=ESTIMATE,
    log_loss=replace(ESTIMATE, value=0.64),
    brier=replace(ESTIMATE, value=0.22),
    ece=0.05,
    temperature=1.1,
    ties=0,
    chance=Estimate(0.5, 0.5, 0.5, 345, 345),
    longer_wins=replace(ESTIMATE, value=0.42, low=0.37, high=0.47),
    shorter_wins=replace(ESTIMATE, value=0.58, low=0.53, high=0.63),
    prompt_shuffled=replace(ESTIMATE, value=0.6, low=0.55, high=0.65),
    best_baseline="shorter wins",
    over_baseline=Estimate(0.068, 0.01, 0.12, 345, 345),
    over_shuffled=Estimate(0.048, 0.01, 0.09, 345, 345),
    longer_chosen=ESTIMATE,
    shorter_chosen=ESTIMATE,
    reward_length=-0.2,
    bins=(CalibrationBin(0.55, 0.52, 120, 0.35), CalibrationBin(0.75, 0.7, 225, 0.65)),
)
REPORT = Report(
    base_model="packaged:SmolLM2-135M-Instruct",
    base_revision="a1b2c3",
    layer=15,
    layers=30,
    regularisation=0.01,
    cross_validated=0.64,
    seed=0,
    held_out_share=0.2,
    data_sha256="0" * 64,
    template_sha256="0" * 64,
    counts=COUNTS,
    held_out=HELD_OUT,
    curve=(CurvePoint(100, replace(ESTIMATE, value=0.55), 0.69), CurvePoint(1_379, ESTIMATE, 0.64)),
)


def conversation(text: str) -> Prompt:
    """Return a prompt with the text in each of its turns."""
    turns = [Message("system", text), Message("user", text), Message("assistant", text), Message("user", text)]
    return Prompt(tuple(turns), category=text[:100], source=text[:100])


def rank_next(store: Store, name: str, answer: Answer) -> None:
    """Submit this answer, whatever its token, for the first open task of the named annotator."""
    me = find_or_add_annotator(store, name)
    task = next_tasks(store, me.id, count=1)[0]
    submit(store, replace(answer, token=task.token), me.id)


def add_run(
    data: Path,
    report: Report = REPORT,
    name: str = "20260102-030405-abcd",
    project: str | None = None,
    contradicted: Sequence[HeldOutSuspect] = (),
    rows: Sequence[dict[str, Any]] = (),
) -> Path:
    """Add a run with this report, without network weights, which no page reads; return its folder.

    `contradicted`: rankings that the model contradicts. `rows`: comparisons that the model was evaluated on.
    """
    run = data / "runs" / name
    run.mkdir(parents=True)
    (run / REPORT_FILE).write_text(json.dumps(report.as_dict()), encoding="utf-8")
    (run / PROVENANCE_FILE).write_text(json.dumps({"project": project}), encoding="utf-8")
    write_comparisons(run, iter(rows), contradicted)
    return run


def fill_pages(
    data: Path, texts: list[str], settings: ProjectSettings, report: Report = REPORT, name: str = "Ann"
) -> None:
    """Fill the data folder: one prompt per text, all but the last ranked by `name`.

    Args:
        data: an existing folder.
        texts: at least three; each prompt has three of them as completions.
        settings: of the project.
        report: of the only run.
        name: of the annotator.
    """
    store = open_store(data / "workbench.db")
    save_settings(store, settings)
    prompts = [conversation(text) for text in texts]
    add_prompts(store, prompts)
    for place, prompt in enumerate(prompts):
        shown = [texts[(place + step) % len(texts)] for step in range(3)]
        save_samples(store, prompt, [Completion(prompt.id, text, settings.policies[0].name) for text in shown])
    for place, text in enumerate(texts[:-1]):
        flag = settings.flags[place % len(settings.flags)]
        rank_next(
            store,
            name,
            Answer(
                "",
                f"submission-{place}",
                "ranked",
                [[0], [1], [2]],
                flags={0: [flag]},
                reason=text,
                demonstration=text,
                seconds=4.0,
                spans=[(0, 0, 1, flag)],
            ),
        )
    turns = tuple(prompts[0].as_dicts)
    contradicted = [HeldOutSuspect(prompts[0].id, turns, *texts[:2], -1.0, 1.0, name, "submission-0")]
    add_run(data, report, contradicted=contradicted)
    for kind, state in (("sample", FAILED), ("train", FAILED), ("score", DONE), ("best_of_n", DONE)):
        scored = ["\n\n".join(texts[start::9]) for start in range(min(9, len(texts)))]
        result = {"completions": scored, "rewards": [float(-place) for place in range(len(scored))]}
        job = add_job(store, kind, project="default")
        start_job(store, job)
        end_job(store, job, state, texts[0], result if state == DONE else None)
    store.dispose()


EVERYDAY = [
    "# Heading\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint('sky', 1)  # because\n```\n\n[link](https://example.org)",
    "Some **text** with $x^2$ maths and `code`.\n\n> quoted\n\n" + "\n".join(f"Line {number}" for number in range(80)),
    "天空是蓝色的。\n\n1. one\n2. two",
]
EVERYTHING_ASKED = ProjectSettings(
    ask_strength=True,
    ask_ratings=True,
    mark_spans=True,
    reveal_policies=True,
    gold_share=0.1,
    policies=(PolicySettings("SmolLM2-135M"),),
)
