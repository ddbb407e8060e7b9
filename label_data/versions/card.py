"""The data card of a version: its contents, its reliability and what was left out, for recipients of the file."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from label_data.canonical import content_id
from label_data.dates import DAY, format_time
from label_data.intervals import Estimate
from label_data.quality.findings import percent
from label_data.quality.report import Quality
from label_data.records import Group

LONGEST_LIST = 30
"""Most annotators, policies and so on that a card lists; the last row sums up the others."""
LONGEST_NAME = 80
READ = 1_000
"""Characters of a prompt and its completions from which their language is detected."""
NO_WORDS = "zxx"
"""ISO 639: no linguistic content."""
TIES = {
    "drop": "they say nothing",
    "half": "each is two comparisons, one each way, of half the weight",
    "keep": "formats of whole orders have them as equal ranks, formats of pairs leave them out",
}
AGGREGATE = {
    "raw": "every annotator's comparisons, contradictions included",
    "majority": "one comparison a pair of completions, that of the majority",
    "reliability": "one comparison a pair of completions, by votes weighed by reliability (Dawid and Skene 1979)",
}
WEIGHTS = {
    "ranking": "a ranking weighs 1, however many comparisons it gives",
    "comparison": "each comparison weighs 1",
    "prompt": "what is said of a prompt weighs 1",
    "reliability": "a ranking weighs what its annotator's reliability is, 1 on average",
}
CARD = """# Data card: {name}

Comparisons of completions by people, from rankings. Version `{name}`, sha256 `{sha256}`.

{counts}

Made by:

```console
$ {command}
```

The same store and command give the same sha256, on SQLite and on PostgreSQL.

## What it is made of

- **Split**: by prompt, {share:.0%} held out, seed {seed}. Prompts whose word pairs overlap by {near:g} or more
  (Jaccard), or that share their first turn, are one family and on one side: {families:,} families, the largest of
  {largest:,} prompts.{follows}{moved}
- **Ties**: {ties}.
- **Aggregation**: {aggregate}.
- **Weights**: {weights}.
- **Margins**: {margins}.
- **Conditions**: {where}.

## How far to believe it

{agreement}

{weak}

## Who ranked

{annotators}

{ranking_sources}

## What was ranked

{policies}

{categories}

{sources}

{licences}

A licence is what the imported file, the hub or whoever imported it said. What a policy's licence says of its output is
to be looked up before this is passed on.

{languages}

A program (py3langid) tells the language from each prompt and its completions; where they are short it may be wrong.

## What was left out

{left_out}
"""


def pseudonym(annotator: str) -> str:
    """Return an annotator's name in cards: 8 characters of the pseudonym, or of a hash of a name from a file."""
    is_random = re.fullmatch("[0-9a-f]{32}", annotator) is not None
    return annotator[:8] if is_random else content_id("annotator", annotator)[:8]


def language_of(group: Group) -> str:
    """Return the ISO 639 code of the language of the prompt and its completions, or "none" if there are no words.

    py3langid (Lui and Baldwin 2012, ACL demo 25-30) detects it from the first `READ` characters. Completions are
    included because a prompt alone is often too short.
    """
    from py3langid import classify  # loads its model, which takes half a second

    turns = [message.content for message in group.prompt.messages if message.role == "user"]
    text = " ".join(" ".join((*turns, *(completion.text for completion in group.completions)))[:READ].split())
    code, _ = classify(text)
    return "none" if code == NO_WORDS else code


@dataclass(frozen=True, slots=True)
class Described:
    """Counts that describe the groups of a version, added up while the groups are read."""

    annotators: Counter[str] = field(default_factory=Counter)
    """Pseudonym -> number of rankings."""
    policies: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    """Source -> number of prompts."""
    ranking_sources: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    """ISO 639 code -> number of prompts."""
    assisted: Counter[str] = field(default_factory=Counter)
    days: list[int] = field(default_factory=list)
    """First and last time of a ranking, microseconds since 1970, UTC; empty if no ranking has a time."""

    def add(self, group: Group) -> None:
        """Count a group."""
        self.policies.update(completion.policy for completion in group.completions)
        self.categories[group.prompt.category] += 1
        self.sources[group.prompt.source] += 1
        self.licences[group.prompt.licence] += 1
        self.languages[language_of(group)] += 1
        for ranking in group.rankings:
            self.annotators[pseudonym(ranking.annotator)] += 1
            self.ranking_sources[ranking.source] += 1
            self.outcomes[ranking.outcome] += 1
            self.assisted["yes" if ranking.assisted else "no"] += 1
            if ranking.submitted is not None:
                self.days[:] = [min([ranking.submitted, *self.days]), max([ranking.submitted, *self.days])]

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        names = (
            "annotators",
            "policies",
            "categories",
            "sources",
            "licences",
            "ranking_sources",
            "outcomes",
            "languages",
            "assisted",
        )
        return {**{name: dict(sorted(getattr(self, name).items())) for name in names}, "days": self.days}


def card_of(manifest: Mapping[str, Any], measured: Quality) -> str:
    """Return the card of a version, from its manifest and the quality measures of its rankings."""
    recipe, moved = manifest["recipe"], len(manifest["moved"])
    margins = ", ".join(f"{margin:g} for strength {step}" for step, margin in enumerate(recipe["margins"], start=1))
    days = [format_time(time, DAY) for time in manifest["days"]]
    return CARD.format(
        name=manifest["name"],
        sha256=manifest["sha256"],
        counts=count_table(manifest),
        command=one_line(manifest["command"], longest=None),
        share=recipe["held_out"],
        seed=recipe["seed"],
        near=recipe["near"],
        families=manifest["counts"]["families of near-duplicates"],
        largest=manifest["largest_family"],
        follows=f"\n  Sides are those of {', '.join(manifest['follows'])}." if manifest["follows"] else "",
        moved=f"\n  **{moved:,} prompts that were held out there came to the training side** (`moved` in the manifest)."
        if moved
        else "",
        ties=TIES[recipe["ties"]],
        aggregate=AGGREGATE[recipe["aggregate"]],
        weights=WEIGHTS[recipe["weights"]],
        margins=f"{margins}; steps between two completions are summed, and without a strength there is none"
        if margins
        else "none",
        where="; ".join(f"`{one_line(condition)}`" for condition in recipe["where"]) or "none",
        agreement=_agreement(measured),
        weak=_weak(measured),
        annotators=_listed("annotator (pseudonym)", "rankings", manifest["annotators"]),
        ranking_sources=_sentence("Rankings by whom", manifest["ranking_sources"])
        + (f" From {days[0]} to {days[1]}." if days else " When is not known.")
        + (" " + _sentence("Made with rewards, an order or names of policies in sight", manifest["assisted"])),
        policies=_listed("policy", "completions", manifest["policies"]),
        categories=_listed("category", "prompts", manifest["categories"]),
        licences=_listed("licence", "prompts", manifest["licences"]),
        sources=_listed("source", "prompts", manifest["sources"]),
        languages=_listed("language", "prompts", manifest["languages"]),
        left_out="\n".join(f"- {times:,} x: {reason}." for reason, times in manifest["left_out"].items()) or "Nothing.",
    )


def count_table(manifest: Mapping[str, Any]) -> str:
    """Return the counts of each side as a markdown table, followed by the total counts in a sentence."""
    counts = manifest["counts"]
    held = {name: counts[f"held-out {name}"] for name in ("prompts", "comparisons")}
    rows = [
        "| | prompts | comparisons |",
        "| --- | ---: | ---: |",
        f"| train | {counts['prompts'] - held['prompts']:,} | {counts['comparisons'] - held['comparisons']:,} |",
        f"| held out | {held['prompts']:,} | {held['comparisons']:,} |",
        "",
        f"{counts['completions']:,} completions, {counts['rankings']:,} rankings by {counts['annotators']:,} "
        f"annotators, {counts['ties']:,} ties, {counts['demonstrations']:,} demonstrations.",
    ]
    return "\n".join(rows)


def _agreement(measured: Quality) -> str:
    agreement, ceiling = measured.agreement, measured.ceiling
    if not agreement.same.count:
        return "No pair of completions was judged by two annotators, so nobody knows whether they agree."
    best = "" if ceiling.low != ceiling.low else f" So the best possible model is right in {ceiling} of comparisons."
    return (
        f"Two annotators judged the same pair {agreement.same.count:,} times. "
        f"Krippendorff's alpha, a tie being an answer: {agreement.alpha}. Same answer: {percent(agreement.same)}. "
        f"Same side where both took one: {percent(agreement.decided)}.{best}"
    )


def _weak(measured: Quality) -> str:
    """Return the known biases: position, length and markdown bias of all annotators, and all findings."""
    biases = (
        ("the one shown earlier", measured.position.overall.rate),
        ("the longer", measured.length.overall.rate),
        ("the one with more markdown", measured.markup.overall.rate),
    )
    lines = [f"- Of two completions, {preferred} wins {_rate(rate)}." for preferred, rate in biases]
    lines += [f"- {measured.unknown_order}"] if measured.unknown_order else []
    for finding in measured.findings:
        subject = f"annotator {pseudonym(finding.about)}" if finding.about else "all together"
        lines.append(
            f"- {subject}: {one_line(str(finding.measurement), None)} {one_line(str(finding.recommendation), None)}"
        )
    return "\n".join(["Known biases, and what stands out:", "", *lines])


def _rate(rate: Estimate) -> str:
    return str(percent(rate)) if rate.count else "nobody knows how often: there is none to count"


def _sentence(title: str, counts: Mapping[str, int]) -> str:
    return f"{title}: " + ", ".join(f"{one_line(name) or 'not said'} {times:,}" for name, times in counts.items()) + "."


def _listed(head: str, unit: str, counts: Mapping[str, int]) -> str:
    """Return a markdown table, largest count first; its last row sums up the rows after `LONGEST_LIST`."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [f"| {one_line(name) or 'not known'} | {times:,} |" for name, times in ordered[:LONGEST_LIST]]
    rest = ordered[LONGEST_LIST:]
    if rest:
        rows.append(f"| {len(rest):,} others | {sum(times for _, times in rest):,} |")
    return "\n".join([f"| {head} | {unit} |", "| --- | ---: |", *rows])


def one_line(text: str, longest: int | None = LONGEST_NAME) -> str:
    """Return the text on one line; if `longest` is given, cut to that length and with markdown characters escaped."""
    folded = " ".join(text.split())
    if longest and len(folded) > longest:
        folded = folded[: longest - 1] + "…"
    return re.sub(r"([|`<>\[\]])", r"\\\1", folded) if longest else folded
