// Compare texts, and map positions in a formatted text to positions in the original text.

const MOST_CELLS = 4e6; // of the table for the longest common subsequence; longer texts are compared by lines, or not at all
const WORD = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}\p{M}_]+|\s+|./gsu;

const wordsOf = (text) => text.match(WORD) ?? [];
const linesOf = (text) => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

// Return pairs [i, j] of the longest common subsequence of two lists, or null if the table would be too large.
function commonPairs(first, second) {
  let start = 0;
  while (start < first.length && start < second.length && first[start] === second[start]) start += 1;
  let end = 0;
  while (end < first.length - start && end < second.length - start && first.at(-1 - end) === second.at(-1 - end)) end += 1;
  const [height, width] = [first.length - start - end, second.length - start - end];
  if ((height + 1) * (width + 1) > MOST_CELLS) return null;
  const table = new Uint16Array((height + 1) * (width + 1)); // cell (i, j): length of the subsequence from i and j on
  const cell = (i, j) => i * (width + 1) + j;
  for (let i = height - 1; i >= 0; i -= 1)
    for (let j = width - 1; j >= 0; j -= 1)
      table[cell(i, j)] =
        first[start + i] === second[start + j] ? table[cell(i + 1, j + 1)] + 1 : Math.max(table[cell(i + 1, j)], table[cell(i, j + 1)]);
  const pairs = Array.from({ length: start }, (_, index) => [index, index]);
  for (let i = 0, j = 0; i < height && j < width; ) {
    if (first[start + i] === second[start + j]) pairs.push([start + i++, start + j++]);
    else if (table[cell(i + 1, j)] >= table[cell(i, j + 1)]) i += 1;
    else j += 1;
  }
  for (let left = end; left > 0; left -= 1) pairs.push([first.length - left, second.length - left]);
  return pairs;
}

// Return the parts of two texts in order: { kind: "same" | "del" | "ins", text }. "del" is only in the first, "ins" in
// the second.
function difference(first, second) {
  for (const split of [wordsOf, linesOf]) {
    const [firstParts, secondParts] = [split(first), split(second)];
    const pairs = commonPairs(firstParts, secondParts);
    if (!pairs) continue;
    const parts = [];
    const add = (kind, text) => {
      if (text && parts.at(-1)?.kind === kind) parts.at(-1).text += text;
      else if (text) parts.push({ kind, text });
    };
    let [i, j] = [0, 0];
    for (const [nextI, nextJ] of [...pairs, [firstParts.length, secondParts.length]]) {
      add("del", firstParts.slice(i, nextI).join(""));
      add("ins", secondParts.slice(j, nextJ).join(""));
      add("same", firstParts[nextI] ?? "");
      [i, j] = [nextI + 1, nextJ + 1];
    }
    return parts;
  }
  return [
    { kind: "del", text: first },
    { kind: "ins", text: second },
  ];
}

// Maps positions between a text as shown and as written. The shown text has no markdown signs, and maths differs.
class Places {
  constructor(shown, written) {
    this.written = written;
    this.points = [{ shown: 0, written: 0, length: 0 }]; // equal passages, in order
    if (shown === written) {
      this.points = [{ shown: 0, written: 0, length: shown.length }];
      return;
    }
    const starts = (words) => {
      let end = 0;
      return words.map((word) => (end += word.length) - word.length);
    };
    const visible = (text) => wordsOf(text).map((word) => (/^\s+$/.test(word) ? " " : word));
    const [shownWords, writtenWords] = [wordsOf(shown), wordsOf(written)];
    const [fromShown, fromWritten] = [starts(shownWords), starts(writtenWords)];
    for (const [i, j] of commonPairs(visible(shown), visible(written)) ?? [])
      if (shownWords[i].trim()) this.points.push({ shown: fromShown[i], written: fromWritten[j], length: shownWords[i].length });
  }

  // Return the position in `to` of a position in `from` ("shown" or "written"). Between two passages: the start of the
  // next one, or with `isEnd` the end of the previous one.
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

// Convert between characters, as the store counts, and UTF-16 units, as browsers count. `overrides`: units at which one
// character was replaced by eight, "⟨U+202E⟩".
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

// Return the range of an element's text between two units.
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

// Return how many units of the element's text precede this point.
function unitsBefore(element, node, offset) {
  const range = new Range();
  range.setStart(element, 0);
  range.setEnd(node, offset);
  return range.toString().length;
}
