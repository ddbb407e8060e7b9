// The ranking as a row of numbers, best first. Dragging a number changes the ranking.

class Tray {
  // `words`: { sentence, rank, step }, functions that return texts in the annotator's language.
  constructor(element, words) {
    this.element = element;
    this.words = words;
  }

  paint(ranking, count, asksStrength) {
    const focused = this.chipInFocus();
    const items = [];
    ranking.groups.forEach((group, index) => {
      group.forEach((place, within) => {
        const item = make("li", "");
        if (within) item.append(this.mark("=", this.words.sentence("tied_with")));
        else if (index) item.append(asksStrength ? this.strength(ranking, index) : this.mark("›", this.words.sentence("better_than")));
        const isAuto = place === ranking.auto;
        const chip = button(`chip${isAuto ? " auto" : ""}`, "chip", String(place + 1));
        chip.dataset.place = place;
        const rank = this.words.rank(index, group.length > 1);
        chip.setAttribute("aria-label", this.words.sentence(isAuto ? "chip_auto" : "chip", { number: place + 1, rank }));
        item.append(chip);
        items.push(item);
      });
    });
    const unranked = count - ranking.groups.flat().length;
    for (let slot = 0; slot < unranked && ranking.groups.length; slot += 1) {
      const item = make("li", "");
      item.setAttribute("aria-hidden", "true");
      item.append(make("span", "between", slot === 0 && ranking.tie ? "=" : "›"), make("span", "slot"));
      items.push(item);
    }
    this.element.hidden = ranking.outcome !== "ranked" || !items.length;
    this.element.replaceChildren(...items);
    if (focused !== null) this.chip(focused)?.focus({ preventScroll: true });
  }

  mark(sign, words) {
    const element = make("span", "between", sign);
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", words);
    return element;
  }

  strength(ranking, index) {
    const step = ranking.steps[stepBefore(ranking, index)] || 0;
    const name = this.words.step(step);
    const element = button("between", "strength", step ? `${name} ›` : "›");
    element.dataset.index = index;
    element.setAttribute("aria-label", this.words.sentence(step ? "step_label" : "no_step_label", { step: name }));
    return element;
  }

  chip(place) {
    return this.element.querySelector(`.chip[data-place="${place}"]`);
  }

  chipInFocus() {
    const focused = this.element.getRootNode().activeElement?.closest?.(".chip");
    return focused ? Number(focused.dataset.place) : null;
  }

  // Drag a chip by pointer events, so that touch works like the mouse. `onEnd` gets its place, and where it was dropped
  // or null.
  grab(event, ranking, onEnd) {
    const chip = event.target.closest(".chip");
    if (!chip || event.button !== 0) return;
    const from = { x: event.clientX, y: event.clientY };
    const dragging = new AbortController();
    const on = (kind, act) => chip.addEventListener(kind, act, { signal: dragging.signal });
    const end = (dropped) => {
      dragging.abort();
      this.element.classList.remove("at-end");
      onEnd(Number(chip.dataset.place), dropped);
    };
    let drop = null;
    chip.setPointerCapture(event.pointerId);
    on("pointermove", (move) => {
      const [x, y] = [move.clientX - from.x, move.clientY - from.y];
      if (!drop && Math.hypot(x, y) < 6) return;
      chip.classList.add("dragged");
      chip.style.transform = `translate(${x}px, ${y}px)`;
      drop = this.dropAt(ranking, chip, move.clientX, move.clientY);
      this.markDrop(drop);
    });
    on("pointerup", () => end(drop));
    on("pointercancel", () => end(null));
  }

  // Return where a chip would be dropped: on another chip or between two tied chips it joins them; otherwise it goes before
  // the first chip to the right.
  dropAt(ranking, chip, x, y) {
    const others = [...this.element.querySelectorAll(".chip")].filter((other) => other !== chip);
    const boxes = others.map((other) => other.getBoundingClientRect());
    const places = others.map((other) => Number(other.dataset.place));
    const on = boxes.findIndex((box) => x >= box.left && x <= box.right && y >= box.top - 8 && y <= box.bottom + 8);
    if (on >= 0) return { joins: places[on] };
    const after = boxes.findIndex((box) => y < box.top || (y <= box.bottom + 8 && x < box.left));
    if (after < 0) return { before: null };
    const isBetweenTied = after > 0 && groupOf(ranking, places[after]) === groupOf(ranking, places[after - 1]);
    return isBetweenTied ? { joins: places[after] } : { before: places[after] };
  }

  markDrop({ joins = null, before = null }) {
    for (const other of this.element.querySelectorAll(".chip")) {
      other.classList.toggle("joins", joins !== null && Number(other.dataset.place) === joins);
      other.classList.toggle("before", before !== null && Number(other.dataset.place) === before);
    }
    this.element.classList.toggle("at-end", joins === null && before === null);
  }
}
