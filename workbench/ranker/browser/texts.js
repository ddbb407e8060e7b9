// Comparing texts: words, what two texts share, and where a place in a formatted text is in the text as it was written.

const MOST_CELLS = 4e6; // of the table that finds what two texts share; longer texts are compared by lines, then not
const WORD = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}\p{M}_]+|\s+|./gsu;

const wordsOf = (text) => text.match(WORD) ?? [];
const linesOf = (text) => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

// Pairs [i, j] of the longest common subsequence of two lists, or null where the table would be too large.
function shared(one, other) {
  let start = 0;
  while (start < one.length && start < other.length && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < one.length - start && end < other.length - start && one.at(-1 - end) === other.at(-1 - end)) end += 1;
  const [height, width] = [one.length - start - end, other.length - start - end];
  if ((height + 1) * (width + 1) > MOST_CELLS) return null;
  const table = new Uint16Array((height + 1) * (width + 1)); // cell (i, j): length for what follows i and j
  const at = (i, j) => i * (width + 1) + j;
  for (let i = height - 1; i >= 0; i -= 1)
    for (let j = width - 1; j >= 0; j -= 1)
      table[at(i, j)] =
        one[start + i] === other[start + j] ? table[at(i + 1, j + 1)] + 1 : Math.max(table[at(i + 1, j)], table[at(i, j + 1)]);
  const pairs = Array.from({ length: start }, (_, index) => [index, index]);
  for (let i = 0, j = 0; i < height && j < width; ) {
    if (one[start + i] === other[start + j]) pairs.push([start + i++, start + j++]);
    else if (table[at(i + 1, j)] >= table[at(i, j + 1)]) i += 1;
    else j += 1;
  }
  for (let left = end; left > 0; left -= 1) pairs.push([one.length - left, other.length - left]);
  return pairs;
}

// Parts of two texts in order: { kind: "same" | "del" | "ins", text }. "del" is only in the first, "ins" in the second.
function difference(first, second) {
  for (const cut of [wordsOf, linesOf]) {
    const [one, other] = [cut(first), cut(second)];
    const pairs = shared(one, other);
    if (!pairs) continue;
    const parts = [];
    const add = (kind, text) => {
      if (text && parts.at(-1)?.kind === kind) parts.at(-1).text += text;
      else if (text) parts.push({ kind, text });
    };
    let [i, j] = [0, 0];
    for (const [nextI, nextJ] of [...pairs, [one.length, other.length]]) {
      add("del", one.slice(i, nextI).join(""));
      add("ins", other.slice(j, nextJ).join(""));
      add("same", one[nextI] ?? "");
      [i, j] = [nextI + 1, nextJ + 1];
    }
    return parts;
  }
  return [
    { kind: "del", text: first },
    { kind: "ins", text: second },
  ];
}

// Where each word of what is shown stands in what was written: markdown's signs are gone from the one, maths is changed.
class Places {
  constructor(shown, written) {
    this.written = written;
    this.points = [{ shown: 0, written: 0, length: 0 }]; // equal stretches, in order
    if (shown === written) {
      this.points = [{ shown: 0, written: 0, length: shown.length }];
      return;
    }
    const starts = (words) => {
      let at = 0;
      return words.map((word) => (at += word.length) - word.length);
    };
    const visible = (text) => wordsOf(text).map((word) => (/^\s+$/.test(word) ? " " : word));
    const [one, other] = [wordsOf(shown), wordsOf(written)];
    const [fromShown, fromWritten] = [starts(one), starts(other)];
    for (const [i, j] of shared(visible(shown), visible(written)) ?? [])
      if (one[i].trim()) this.points.push({ shown: fromShown[i], written: fromWritten[j], length: one[i].length });
  }

  // The place in `to` of a place in `from` ("shown" or "written"); between two stretches, the nearer end of them.
  find(place, from, to, isEnd) {
    const inside = this.points.find((point) => place >= point[from] && place <= point[from] + point.length && point.length && !(isEnd && place === point[from]) && !(!isEnd && place === point[from] + point.length));
    if (inside) return inside[to] + place - inside[from];
    if (isEnd) {
      const before = this.points.findLast((point) => point[from] + point.length <= place);
      return before ? before[to] + before.length : 0;
    }
    return this.points.find((point) => point.length && point[from] >= place)?.[to] ?? -1;
  }
}

// Unicode characters, as the store counts them, and the units in which a browser does. `overrides`: units where one
// sign of the text was replaced by eight, "⟨U+202E⟩".
const SHOWN_OVERRIDE = 8;

function toCharacters(text, units, overrides) {
  const replaced = overrides.filter((at) => at < units).length;
  return Array.from(text.slice(0, units)).length - replaced * (SHOWN_OVERRIDE - 1);
}

function toUnits(text, characters, overrides) {
  let [units, left] = [0, characters];
  while (left > 0 && units < text.length) {
    units += overrides.includes(units) ? SHOWN_OVERRIDE : String.fromCodePoint(text.codePointAt(units)).length;
    left -= 1;
  }
  return units;
}

// The range of an element's text from one unit to another.
function rangeIn(element, start, end) {
  const range = new Range();
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let at = 0;
  let isBegun = false;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const length = node.data.length;
    if (!isBegun && start < at + length) {
      range.setStart(node, start - at);
      isBegun = true;
    }
    if (isBegun && end <= at + length) {
      range.setEnd(node, end - at);
      return range;
    }
    at += length;
  }
  return null;
}

// How many units of the element's text stand before this point of it.
function unitsBefore(element, node, offset) {
  const range = new Range();
  range.setStart(element, 0);
  range.setEnd(node, offset);
  return range.toString().length;
}
