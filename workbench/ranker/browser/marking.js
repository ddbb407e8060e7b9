// The part of a completion that is selected for marking: with the mouse or a finger, or word by word from the keyboard.

const JUMP = 10; // words skipped by the up and down arrows

class Marking {
  // `element` shows the text of `completion`, which is { text, overrides }.
  constructor(element, completion) {
    this.element = element;
    this.completion = completion;
    this.shown = element.textContent;
    this.places = placesIn(element, completion.text);
    let at = 0;
    this.words = wordsOf(this.shown).map((word) => ({ start: at, end: (at += word.length), isSpace: !word.trim() }));
    this.words = this.words.filter((word) => !word.isSpace);
    [this.first, this.last] = [0, 0];
  }

  get start() {
    return this.words[this.first]?.start ?? 0;
  }

  get end() {
    return this.words[this.last]?.end ?? 0;
  }

  get quote() {
    return this.shown.slice(this.start, this.end);
  }

  // Select the words that a range of the browser's selection touches; return whether there are any.
  select(range) {
    const start = unitsBefore(this.element, range.startContainer, range.startOffset);
    const end = unitsBefore(this.element, range.endContainer, range.endOffset);
    this.first = this.words.findIndex((word) => word.end > start);
    this.last = this.words.findLastIndex((word) => word.start < end);
    return this.first >= 0 && this.last >= this.first;
  }

  // Move the selection with an arrow key; with Shift, only its end.
  move(key, isExtending) {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: JUMP, ArrowUp: -JUMP }[key];
    const within = (index, least) => Math.min(Math.max(index, least), this.words.length - 1);
    if (isExtending) {
      this.last = within(this.last + by, this.first);
    } else {
      const width = this.last - this.first;
      this.first = Math.max(0, Math.min(this.first + by, this.words.length - 1 - width));
      this.last = this.first + width;
    }
  }

  // Return the selection as the store keeps it, or null if it cannot be located in the original text.
  span(place, kind) {
    const { text, overrides = [] } = this.completion;
    const start = this.places.find(this.start, "shown", "written", false);
    const end = this.places.find(this.end, "shown", "written", true);
    if (start < 0 || end <= start) return null;
    return { place, start: toCharacters(text, start, overrides), end: toCharacters(text, end, overrides), kind };
  }
}

const knownPlaces = new WeakMap(); // element: { shown, places }; a cache, because computing them takes a moment

function placesIn(element, written) {
  const shown = element.textContent;
  if (knownPlaces.get(element)?.shown !== shown) knownPlaces.set(element, { shown, places: new Places(shown, written) });
  return knownPlaces.get(element).places;
}

// Return the range of the element that shows a stored span, or null.
function rangeOf(span, element, { text, overrides = [] }) {
  const places = placesIn(element, text);
  const start = places.find(toUnits(text, span.start, overrides), "written", "shown", false);
  const end = places.find(toUnits(text, span.end, overrides), "written", "shown", true);
  return start >= 0 && end > start ? rangeIn(element, start, end) : null;
}

// Colour these ranges without changing the text. Browsers without highlights show only the list of marks.
function highlight(name, ranges) {
  if (globalThis.CSS?.highlights) CSS.highlights.set(name, new Highlight(...ranges.filter(Boolean)));
}
