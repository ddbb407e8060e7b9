// A ranking is a plain object, and these pure functions return a changed copy. Its groups hold the places of completions
// (from 0, as shown), best first; places in the same group are tied.

const STRONGEST = 3; // 1 slightly, 2 clearly, 3 much better
const BEST_RATING = 7;
const UNACCEPTABLE = "unacceptable"; // the flag that every project has

const noRanking = () => ({
  groups: [],
  auto: null, // the place that was ranked last automatically
  tie: false, // whether the next placed completion joins the last group
  steps: {}, // "places>places" of two neighbouring groups: 1 slightly … 3 much better
  outcome: "ranked",
  why: 0, // number of the reason to skip, from 1; 0 for none
  flags: {}, // place: names
  ratings: {}, // place: 1 to 7
  spans: [], // { place, start, end, kind }, as in the store
});

const groupOf = (ranking, place) => ranking.groups.findIndex((group) => group.includes(place));
const without = (groups, place) => groups.map((group) => group.filter((other) => other !== place)).filter((group) => group.length);
const isComplete = (ranking, count) => ranking.groups.flat().length === count;
const stepBefore = (ranking, index) => `${[...ranking.groups[index - 1]].sort()}>${[...ranking.groups[index]].sort()}`;
const strengths = (ranking) => ranking.groups.slice(1).map((_, index) => ranking.steps[stepBefore(ranking, index + 1)] || null);

// Rank a completion next best, or remove it if it is ranked. If all must be ranked, the last one is ranked automatically.
function placed(ranking, place, count, isPartial) {
  if (place === ranking.auto) return { ...ranking, outcome: "ranked" };
  let groups = ranking.auto === null ? ranking.groups : without(ranking.groups, ranking.auto);
  const next = { ...ranking, auto: null, tie: false, outcome: "ranked" };
  if (groupOf(ranking, place) >= 0) return { ...next, groups: without(groups, place) };
  const joins = ranking.tie && groups.length > 0;
  groups = joins ? [...groups.slice(0, -1), [...groups.at(-1), place]] : [...groups, [place]];
  const unranked = Array.from({ length: count }, (_, index) => index).filter((index) => !groups.flat().includes(index));
  if (unranked.length !== 1 || isPartial) return { ...next, groups };
  return { ...next, groups: [...groups, unranked], auto: unranked[0] };
}

// Tie a ranked completion with the group before it, or separate it from its group.
function tied(ranking, place) {
  const index = groupOf(ranking, place);
  const rest = without(ranking.groups, place);
  const auto = place === ranking.auto ? place : null;
  if (ranking.groups[index].length > 1) return { ...ranking, auto, groups: rest.toSpliced(index + 1, 0, [place]) };
  if (index === 0) return ranking;
  return { ...ranking, auto, groups: rest.with(index - 1, [...rest[index - 1], place]) };
}

// Move a ranked completion one rank up (-1) or down (+1); a tied one first becomes a group of its own.
function moved(ranking, place, by) {
  const index = groupOf(ranking, place);
  const rest = without(ranking.groups, place);
  const to = ranking.groups[index].length > 1 ? index + (by > 0 ? 1 : 0) : index + by;
  if (to < 0 || to > rest.length) return ranking;
  return { ...ranking, auto: null, groups: rest.toSpliced(to, 0, [place]) };
}

// Move a ranked completion to where it was dropped: onto another (a tie), before another, or, with `before` null, to the end.
function dropped(ranking, place, { joins = null, before = null }) {
  const rest = without(ranking.groups, place);
  const index = rest.findIndex((group) => group.includes(joins ?? before));
  if (joins !== null) return { ...ranking, auto: null, groups: rest.with(index, [...rest[index], place]) };
  return { ...ranking, auto: null, groups: rest.toSpliced(index < 0 ? rest.length : index, 0, [place]) };
}

function flagged(ranking, place, flag) {
  const names = ranking.flags[place] || [];
  const changed = names.includes(flag) ? names.filter((name) => name !== flag) : [...names, flag];
  return { ...ranking, flags: { ...ranking.flags, [place]: changed } };
}

// Rate a completion; the same rating again removes it.
function rated(ranking, place, value) {
  const { [place]: before, ...others } = ranking.ratings;
  return { ...ranking, ratings: before === value ? others : { ...others, [place]: value } };
}

const marked = (ranking, span) => ({ ...ranking, spans: [...ranking.spans, span] });
const unmarked = (ranking, index) => ({ ...ranking, spans: ranking.spans.toSpliced(index, 1) });
