// A ranking is one plain object, changed by these pure functions: groups of places (from 0, as shown), best first;
// places in one group are tied.

const STRONGEST = 3; // 1 slightly, 2 clearly, 3 much better
const BEST_RATING = 7;
const UNACCEPTABLE = "unacceptable"; // the flag that every project has

const noRanking = () => ({
  groups: [],
  auto: null, // the place that filled the last rank by itself
  tie: false, // shall the next one placed join the last group?
  steps: {}, // "places>places" of two neighbouring groups -> 1 slightly … 3 much better
  outcome: "ranked",
  why: 0, // number of the reason to skip, from 1
  flags: {}, // place -> names
  ratings: {}, // place -> 1 to 7
  spans: [], // { place, start, end, kind }, as the store keeps them
});

const groupOf = (ranking, place) => ranking.groups.findIndex((group) => group.includes(place));
const without = (groups, place) => groups.map((group) => group.filter((one) => one !== place)).filter((group) => group.length);
const isComplete = (ranking, count) => ranking.groups.flat().length === count;
const stepBefore = (ranking, index) => `${[...ranking.groups[index - 1]].sort()}>${[...ranking.groups[index]].sort()}`;
const strengths = (ranking) => ranking.groups.slice(1).map((_, index) => ranking.steps[stepBefore(ranking, index + 1)] || null);

// Place it next best, or take it back if it has a place. Where all must be placed the last one fills itself.
function placed(ranking, place, count, isPartial) {
  if (place === ranking.auto) return { ...ranking, outcome: "ranked" };
  let groups = ranking.auto === null ? ranking.groups : without(ranking.groups, ranking.auto);
  const next = { ...ranking, auto: null, tie: false, outcome: "ranked" };
  if (groupOf(ranking, place) >= 0) return { ...next, groups: without(groups, place) };
  const joins = ranking.tie && groups.length > 0;
  groups = joins ? [...groups.slice(0, -1), [...groups.at(-1), place]] : [...groups, [place]];
  const left = Array.from({ length: count }, (_, one) => one).filter((one) => !groups.flat().includes(one));
  if (left.length !== 1 || isPartial) return { ...next, groups };
  return { ...next, groups: [...groups, left], auto: left[0] };
}

// Tie a placed one with the group before it, or part it from those it is tied with.
function tied(ranking, place) {
  const index = groupOf(ranking, place);
  const rest = without(ranking.groups, place);
  const auto = place === ranking.auto ? place : null;
  if (ranking.groups[index].length > 1) return { ...ranking, auto, groups: rest.toSpliced(index + 1, 0, [place]) };
  if (index === 0) return ranking;
  return { ...ranking, auto, groups: rest.with(index - 1, [...rest[index - 1], place]) };
}

// Move a placed one a rank up (-1) or down (+1); out of a tie it first becomes a group of its own.
function moved(ranking, place, by) {
  const index = groupOf(ranking, place);
  const rest = without(ranking.groups, place);
  const to = ranking.groups[index].length > 1 ? index + (by > 0 ? 1 : 0) : index + by;
  if (to < 0 || to > rest.length) return ranking;
  return { ...ranking, auto: null, groups: rest.toSpliced(to, 0, [place]) };
}

// Put a placed one where it was dropped: on another (a tie), or before another, or with `before` null at the end.
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

// Rate a completion by itself; the same rating again takes it back.
function rated(ranking, place, value) {
  const { [place]: before, ...others } = ranking.ratings;
  return { ...ranking, ratings: before === value ? others : { ...others, [place]: value } };
}

const marked = (ranking, span) => ({ ...ranking, spans: [...ranking.spans, span] });
const unmarked = (ranking, index) => ({ ...ranking, spans: ranking.spans.toSpliced(index, 1) });
