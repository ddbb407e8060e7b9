// What the annotator sees: the texts and the state of the ranking, painted into ranker.html. Texts around them are looked
// up in the annotator's language by `this.sentence(key, values)`. Input is handled in screen.js.

const OTHER_OUTCOMES = ["all_bad", "indistinguishable", "skipped"];

class Sheet {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    this.tray = new Tray(this.find(".tray"), {
      sentence: (key, values) => this.sentence(key, values),
      rank: (index, isTied) => this.rank(index, isTied),
      step: (step) => this.data.words.steps[step - 1],
    });
    this.data = null; // what the server sent last
    this.task = null;
    this.last = lastSent.get(LAST); // the last submission: { task, draft, submission, who }
    this.unsent = outbox.get(UNSENT); // the answer that the server has not acknowledged yet
    this.ranking = noRanking();
    this.history = [];
    this.active = null; // the place that X and F apply to
    this.choosing = null; // "skip", "flag", "rate", "mark" or null: what the next digit or letter means
    this.marking = null; // the part of a completion that is selected for marking
    this.editedFrom = null; // place of the completion that the written answer started from
    this.views = { plain: false, diff: false, zoom: false, whole: false, together: false }; // which are on
    this.comparedTo = null; // the place that the others are compared with
    this.session = new Session();
  }

  sentence(key, values = {}) {
    return filled(this.data.words[key], values);
  }

  rank(index, isTied = false) {
    const rank = this.data.words.ranks[index];
    return isTied ? this.sentence("tied_rank", { rank }) : rank;
  }

  flagName(flag) {
    return flag === UNACCEPTABLE ? this.sentence("unacceptable") : (this.data.words.flags[flag] ?? flag);
  }

  // Fill in the texts of ranker.html, again when the annotator has chosen another language.
  setLanguage() {
    const { language, words } = this.data;
    if (this.root.lang === language) return;
    const isFirst = !this.root.lang;
    this.root.lang = language;
    for (const part of [this.root, this.find(".card-template").content]) {
      for (const element of part.querySelectorAll("[data-say]")) element.textContent = words[element.dataset.say];
      for (const element of part.querySelectorAll("[data-label]")) element.setAttribute("aria-label", words[element.dataset.label]);
    }
    this.root.setAttribute("aria-label", words.ranking);
    this.find(".reason textarea").placeholder = words.why_hint;
    this.find(".skips").replaceChildren();
    if (!isFirst && this.task) this.layOut(this.task);
  }

  // Paint what surrounds the task and does not change with it.
  paintFrame() {
    const { guidelines, flags, ask_strength: asksStrength, revealed } = this.data;
    this.paintSession();
    const isRevealed = Boolean(revealed) && revealed.submission === this.last?.submission;
    this.find(".revealed").hidden = !isRevealed;
    if (isRevealed) this.find(".revealed").textContent = this.sentence("revealed", { names: revealed.names.map((name, place) => `${place + 1}: ${name}`).join(" · ") });
    this.find(".about-ratings").hidden = !this.data.ask_ratings;
    this.find(".about-marks").hidden = !this.data.mark_spans;
    if (this.guidelines !== guidelines?.token) this.find(".guidelines").innerHTML = guidelines?.html ?? ""; // made safe by `rendered`
    this.guidelines = guidelines?.token;
    this.find("[data-do=guidelines]").hidden = !guidelines;
    this.find(".about-strength").hidden = !asksStrength;
    this.find(".about-flags").hidden = !flags.length;
  }

  paintSession() {
    if (!this.data) return;
    const { today } = this.data;
    const words = [this.sentence(today ? "some_today" : "none_today", { count: today })];
    if (this.session.minutes) words.push(this.sentence("minutes", { count: this.session.minutes }));
    if (this.session.isLong) words.push(this.sentence("take_a_break"));
    const line = words.join(" · ");
    if (this.find(".today").textContent !== line) this.find(".today").textContent = line;
  }

  // Put a task, or none, on the screen.
  layOut(task) {
    this.find(".changing").hidden = !task?.revises;
    if (!task) this.find(".writing").hidden = true;
    for (const part of [".today", ".views", ".prompt", ".completions", ".judging"]) this.find(part).hidden = !task;
    this.find(".waiting").hidden = Boolean(task) || !this.unsent;
    this.find(".prompt").replaceChildren(...(task ? this.messages(task.messages) : []));
    this.find(".prompt").classList.toggle("chat", (task?.messages ?? []).filter((message) => message.role !== "system").length > 1);
    const completions = this.find(".completions");
    completions.replaceChildren(...(task ? task.completions.map((completion, place) => this.card(completion, place)) : []));
    completions.className = `completions of-${task?.completions.length ?? 0}`;
    this.comparedTo = null;
    this.measure();
  }

  messages(messages) {
    const isSingleTurn = messages.filter((message) => message.role !== "system").length === 1;
    return messages.map((message) => {
      const isSystem = message.role === "system";
      const element = make(isSystem ? "details" : "div", `${isSystem ? "" : "message "}${message.role}`);
      const name = this.sentence(message.role === "user" && isSingleTurn ? "prompt" : message.role);
      element.append(make(isSystem ? "summary" : "span", "role", name), this.fill(make("div", "text"), message));
      return element;
    });
  }

  card(completion, place) {
    const card = this.find(".card-template").content.firstElementChild.cloneNode(true);
    card.dataset.place = place;
    card.querySelector(".number").textContent = place + 1;
    for (const [name, task] of [["flags", "flag"], ["marks", "mark_as"]]) {
      const panel = card.querySelector(`.${name}`);
      panel.setAttribute("aria-label", this.sentence(`${name}_of`, { number: place + 1 }));
      for (const [letter, flag] of this.letters()) {
        if (task === "mark_as" && flag === UNACCEPTABLE) continue;
        const choice = button("", task, this.flagName(flag), " ", make("kbd", "", letter.toUpperCase()));
        choice.dataset.flag = flag;
        panel.append(choice);
      }
    }
    const rating = card.querySelector(".rating");
    rating.hidden = !this.data.ask_ratings;
    rating.setAttribute("aria-label", this.sentence("rating_of", { number: place + 1 }));
    for (let value = 1; value <= BEST_RATING; value += 1) {
      const choice = button("", "rate", String(value));
      choice.setAttribute("role", "radio");
      rating.append(choice);
    }
    card.querySelector(".marking").hidden = !this.data.mark_spans || !this.data.flags.length;
    card.querySelector(".marking").setAttribute("aria-label", this.sentence("marks_of", { number: place + 1 }));
    this.fill(card.querySelector(".text"), completion);
    return card;
  }

  fill(element, content) {
    return fillText(element, content, this.views.plain, this.sentence("copy_code"));
  }

  texts() {
    return [...this.find(".completions").querySelectorAll(".text")];
  }

  // Show the completions again: formatted or plain, or compared with the selected one.
  refill() {
    this.comparedTo = this.views.diff ? this.active : null;
    const base = this.comparedTo === null ? null : this.task.completions[this.comparedTo].text;
    this.texts().forEach((element, place) => {
      this.fill(element, this.task.completions[place]);
      if (base !== null && place !== this.comparedTo) fillDifference(element, base, this.task.completions[place]);
      if (place === this.comparedTo) fillText(element, this.task.completions[place], true);
    });
    this.measure();
  }

  // Texts too long for the screen scroll: make them reachable from the keyboard, and offer to show them in full.
  measure() {
    const long = this.texts().map((element) => element.scrollHeight > element.clientHeight + 1);
    this.texts().forEach((element, place) => (long[place] ? (element.tabIndex = 0) : element.removeAttribute("tabindex")));
    for (const name of ["whole", "together"]) this.find(`[data-do=${name}]`).hidden = !(long.some(Boolean) || this.views.whole);
  }

  scrolled(element) {
    if (!this.views.together || !element.matches?.(".card .text")) return;
    if (this.scroller && this.scroller !== element) return; // scrolled by the line below, not by the annotator
    this.scroller = element;
    scrollAlike(element, this.texts());
  }

  // Return {letter: flag}: the first letter of its name that no earlier flag has.
  letters() {
    const letters = new Map([["x", UNACCEPTABLE]]);
    for (const flag of this.data.flags) {
      const free = [...flag.toLowerCase(), ..."abcdefghijklmnopqrstuvwyz"].find((letter) => /[a-z]/.test(letter) && !letters.has(letter));
      if (flag !== UNACCEPTABLE && free) letters.set(free, flag);
    }
    return letters;
  }

  outcomeText({ outcome, why }) {
    return this.sentence(`outcome_${outcome}`, { why: this.data.words.skips[why - 1] });
  }

  paintMarks() {
    const texts = this.texts();
    const canShow = this.comparedTo === null;
    const range = (span) => rangeOf(span, texts[span.place], this.task.completions[span.place]);
    highlight("ranker-marked", canShow ? this.ranking.spans.map(range) : []);
    const { marking } = this;
    highlight("ranker-marking", marking ? [rangeIn(marking.element, marking.start, marking.end)] : []);
  }

  // The written answer; empty if it is still the completion that it started from.
  writtenAnswer() {
    const text = this.find(".writing textarea").value.trim();
    const from = this.task.completions[this.editedFrom]?.text ?? "";
    const isSame = text.split(/\s+/).join(" ") === from.trim().split(/\s+/).join(" ");
    return text && !isSame ? { text, from: this.editedFrom } : { text: "", from: null };
  }

  isReady() {
    const count = this.ranking.groups.flat().length;
    return this.ranking.outcome !== "ranked" || count === this.task?.completions.length || (this.data.allow_partial && count >= 2);
  }

  state(words, isLate = false) {
    const saving = this.find(".saving");
    if (saving.textContent !== words) saving.textContent = words;
    saving.classList.toggle("late", isLate);
  }

  say(words, isShown = false) {
    this.find(".live").textContent = words;
    if (isShown) this.state(words, true);
  }

  showProblem(message) {
    this.find(".problem").hidden = !message;
    this.find(".problem p").textContent = message ? this.sentence("refused", { why: message }) : "";
  }

  paint() {
    this.find(".again").hidden = !this.last || Boolean(this.task?.revises || this.data.opened);
    this.find(".changing button").hidden = Boolean(this.data.opened);
    if (!this.task || !this.data) return;
    const { ranking, task } = this;
    const isOther = OTHER_OUTCOMES.includes(ranking.outcome);
    this.find(".completions").classList.toggle("set-aside", isOther);
    this.find(".completions").querySelectorAll(".card").forEach((card, place) => this.paintCard(card, place));
    this.tray.paint(ranking, task.completions.length, this.data.ask_strength);
    const hint = this.find(".hint");
    const hasPlaced = ranking.groups.length > 0;
    hint.textContent = isOther
      ? this.outcomeText(ranking)
      : ranking.tie
        ? this.sentence("next_tied")
        : hasPlaced
          ? ""
          : this.firstHint(task.completions.length);
    hint.hidden = !hint.textContent;
    hint.classList.toggle("chosen", isOther);
    const press = (name, isOn) => this.find(`[data-do=${name}]`).setAttribute("aria-pressed", isOn);
    for (const name of ["all_bad", "indistinguishable"]) press(name, ranking.outcome === name);
    press("skip", ranking.outcome === "skipped");
    press("tie", ranking.tie);
    for (const [name, isOn] of Object.entries(this.views)) press(name, isOn);
    this.find(".completions").classList.toggle("zoomed", this.views.zoom && this.active !== null);
    this.find(".completions").classList.toggle("whole", this.views.whole);
    press("write", !this.find(".writing").hidden);
    this.find(".edited").textContent = this.editedFrom === null ? this.sentence("own_answer") : this.sentence("edited_from", { number: this.editedFrom + 1 });
    if (this.views.diff && this.comparedTo !== this.active) this.refill();
    this.paintMarks();
    this.find("[data-do=undo]").disabled = !this.history.length;
    this.find(".submit").disabled = !this.isReady();
    this.find("[data-do=skip]").setAttribute("aria-expanded", this.choosing === "skip");
    const skips = this.find(".skips");
    skips.hidden = this.choosing !== "skip";
    if (!skips.childElementCount) {
      skips.append(make("p", "", this.sentence("why_skip")));
      this.data.words.skips.forEach((words, index) => {
        const choice = button("", "skip_because", make("kbd", "", index + 1), " ", words);
        choice.dataset.why = index + 1;
        skips.append(choice);
      });
    }
  }

  firstHint(count) {
    const touch = matchMedia("(hover: none)").matches;
    return this.sentence(touch ? "first_hint_touch" : "first_hint", { count });
  }

  paintCard(card, place) {
    const { ranking } = this;
    const index = ranking.outcome === "ranked" ? groupOf(ranking, place) : -1;
    const isTied = index >= 0 && ranking.groups[index].length > 1;
    const words = index < 0 ? "" : this.rank(index, isTied);
    const values = { number: place + 1, rank: words || this.sentence("not_placed") };
    const flags = ranking.flags[place] || [];
    card.classList.toggle("placed", index >= 0);
    card.classList.toggle("active", this.active === place);
    card.setAttribute("aria-label", this.sentence("card", values));
    card.querySelector(".rank").textContent = words;
    const number = card.querySelector(".number");
    number.setAttribute("aria-label", this.sentence(index < 0 ? "place_it" : "remove", values));
    number.setAttribute("aria-pressed", index >= 0);
    const isOpen = this.choosing === "flag" && this.active === place;
    card.querySelector(".flags").hidden = !isOpen;
    card.querySelector(".flagging").setAttribute("aria-expanded", isOpen);
    card.querySelector(".flagging").setAttribute("aria-label", this.sentence("flag_it", values));
    for (const toggle of card.querySelectorAll("[data-flag]")) toggle.setAttribute("aria-pressed", flags.includes(toggle.dataset.flag));
    card.querySelector(".marks").hidden = !(this.choosing === "mark" && this.active === place);
    card.querySelector(".marking").setAttribute("aria-expanded", this.choosing === "mark" && this.active === place);
    card.querySelector(".rating").classList.toggle("open", this.choosing === "rate" && this.active === place);
    card.querySelectorAll(".rating button").forEach((choice, index) => choice.setAttribute("aria-checked", ranking.ratings[place] === index + 1));
    const spans = ranking.spans.map((span, index) => ({ ...span, index })).filter((span) => span.place === place);
    card.querySelector(".marked").hidden = !spans.length;
    card.querySelector(".marked").replaceChildren(...spans.map((span) => this.markButton(span)));
    const chosen = card.querySelector(".flagged");
    chosen.hidden = !flags.length;
    chosen.replaceChildren(...flags.map((flag) => make("span", "", this.flagName(flag))));
  }

  markButton({ place, start, end, kind, index }) {
    const { text, overrides = [] } = this.task.completions[place];
    const quote = text.slice(toUnits(text, start, overrides), toUnits(text, end, overrides)).replace(/\s+/g, " ");
    const values = { quote: quote.length > 60 ? `${quote.slice(0, 59)}…` : quote, flag: this.flagName(kind) };
    const element = button("", "unmark", this.sentence("mark", values), " ✕");
    element.setAttribute("aria-label", this.sentence("unmark", values));
    element.dataset.index = index;
    return element;
  }
}
