// Handle input: each key, press and drag changes the ranking and saves its draft. A submitted ranking is sent until the
// server says that it is stored.

// Milliseconds until an answer is sent again, at first and at most. The time doubles with each attempt: a message stops the
// server's work on the one before, so a server that needs more than 2 s would never finish.
const RESEND = 2000;
const LONGEST_RESEND = 30000;
const MOST_HELD = 12; // texts kept, which the server need not send again
const UNDOABLE = 200; // steps that can be undone
const SELECTION_RESTS = 250; // milliseconds without a change until a selection counts as finished

// The texts that this page has received, by token. The server does not send again what the page says it holds.
const held = new Map();

// Return a part of the data with the texts that the server left out, and remember its texts.
function completed(part) {
  const result = { ...held.get(part.token), ...part };
  held.delete(part.token);
  held.set(part.token, result);
  if (held.size > MOST_HELD) held.delete(held.keys().next().value);
  return result;
}

class Screen extends Sheet {
  constructor(root) {
    super(root);
    this.next = null; // the task that is shown after this one
    this.isHeld = false; // submitted before the last answer was stored
    this.seconds = 0; // of work on this task
    this.attempts = 0;
    this.sentAt = performance.now();
    this.leaving = new AbortController();
    const on = (target, kind, act, options) => target.addEventListener(kind, act, { signal: this.leaving.signal, ...options });
    on(document, "keydown", (event) => this.key(event));
    on(root, "click", (event) => this.click(event));
    on(root, "mousedown", (event) => event.target.closest("button:not(.chip)") && event.preventDefault()); // Enter stays Submit
    on(root, "pointerdown", (event) => this.tray.grab(event, this.ranking, (place, drop) => this.dropped(place, drop)));
    on(root, "input", () => this.keepDraft());
    on(root, "keydown", (event) => event.target.matches("textarea") && event.key === "Escape" && root.focus({ preventScroll: true }));
    for (const kind of ["keydown", "pointerdown", "pointermove", "wheel", "scroll", "touchmove"])
      on(document, kind, () => document.hidden || this.countTime(), { passive: true, capture: true });
    on(document, "visibilitychange", () => {
      if (document.hidden) {
        this.countTime();
        serverDrafts.send(true);
      } else this.session.resume();
    });
    // Tasks without a draft expire in a minute; a reload takes less.
    on(window, "pagehide", () => navigator.sendBeacon(new URL("api/leave", document.baseURI)));
    on(document, "selectionchange", () => this.selected());
    on(root, "scroll", (event) => this.scrolled(event.target), { passive: true, capture: true });
    on(root, "scrollend", () => (this.scroller = null), { capture: true });
    this.timer = setInterval(() => {
      if (this.unsent && performance.now() - this.sentAt > this.resendAfter() - 100) this.send();
      this.paintSession();
    }, 250);
    if (this.unsent) this.sentAt = -RESEND; // from before a reload: the timer sends it at once
    forgetOldDrafts();
  }

  leave() {
    this.leaving.abort();
    clearInterval(this.timer);
    for (const name of ["ranker-marked", "ranker-marking"]) highlight(name, []); // highlights belong to the whole page
    screens.delete(this.root);
  }

  // Take the server's data. An unfinished ranking stays as it is, unless the project changes. Nothing is sent from here.
  receive(data, trigger) {
    const isOtherProject = Boolean(this.data) && this.data.project !== data.project;
    const guidelines = data.guidelines && completed(data.guidelines);
    this.data = { ...data, guidelines, tasks: data.tasks.map(completed), words: WORDS[data.language] };
    this.trigger = trigger;
    if (this.last?.who !== data.who) this.last = null;
    this.setLanguage();
    let refused = null;
    if (this.unsent && data.saved === this.unsent.submission) {
      if (this.task?.token !== this.unsent.token) drafts.drop(DRAFT + this.unsent.token); // otherwise it is being edited
      this.setUnsent(null);
      this.state(this.sentence("saved"));
    } else if (this.unsent && data.problem?.submission === this.unsent.submission) {
      refused = this.unsent.token;
      this.forgetLast(this.unsent.submission);
      this.setUnsent(null);
      this.state("");
      this.showProblem(data.problem.message);
    }
    const tasks = this.data.tasks.filter((task) => task.token !== this.unsent?.token);
    const again = tasks.find((task) => task.token === refused);
    if (again && again.token !== this.task?.token) {
      this.show(again);
      this.root.scrollIntoView({ block: "start" });
    } else if (!this.task || isOtherProject || !(tasks.some((task) => task.token === this.task.token) || this.isStarted())) this.show(tasks[0] ?? null);
    this.next = this.following();
    this.paintFrame();
    this.paint();
    if (this.isHeld && !this.unsent) setTimeout(() => this.isHeld && this.submit());
  }

  // The task that comes after this one.
  following() {
    return this.data.tasks.find((task) => task.token !== this.unsent?.token && task.token !== this.task?.token) ?? null;
  }

  isStarted() {
    return Boolean(this.task.revises) || this.history.length > 0 || this.ranking.groups.length > 0 || [...this.root.querySelectorAll("textarea")].some((field) => field.value);
  }

  show(task) {
    this.task = task;
    const draft = task && newestDraft(task);
    this.ranking = { ...noRanking(), ...(draft?.ranking ?? {}) };
    this.history = [];
    this.active = this.choosing = null;
    this.isHeld = false;
    this.marking = this.comparedTo = null;
    this.seconds = draft?.seconds ?? 0;
    this.session.count();
    this.find(".reason textarea").value = draft?.reason ?? "";
    this.editedFrom = draft?.demonstration?.from ?? null;
    this.find(".writing textarea").value = draft?.demonstration?.text ?? "";
    this.find(".writing").hidden = !this.find(".writing textarea").value;
    this.layOut(task);
    this.paint();
  }

  // ---- Ranking

  change(ranking, words) {
    if (JSON.stringify(ranking) === JSON.stringify(this.ranking)) return this.paint();
    this.history = [...this.history.slice(1 - UNDOABLE), this.ranking];
    this.ranking = ranking;
    this.settle(words);
  }

  place(place) {
    if (place >= this.task.completions.length) return;
    this.active = place;
    const next = placed(this.ranking, place, this.task.completions.length, this.data.allow_partial);
    const index = groupOf(next, place);
    const words = index < 0 ? "removed" : isComplete(next, this.task.completions.length) ? "placed_all" : "placed";
    this.change(next, this.sentence(words, { number: place + 1, rank: this.rank(index) }));
  }

  tie(chip) {
    const { ranking, task } = this;
    const place = chip ?? ranking.auto;
    if (place !== null && place !== undefined) {
      const next = tied(ranking, place);
      if (next === ranking) return this.say(this.sentence("first_already"));
      const together = next.groups[groupOf(next, place)].map((other) => other + 1).join(" = ");
      return this.change(next, this.sentence(next.groups.length < ranking.groups.length ? "are_tied" : "not_tied", { numbers: together }));
    }
    if (isComplete(ranking, task.completions.length)) return this.say(this.sentence("choose_chip"));
    if (!ranking.groups.length) return this.say(this.sentence("place_before_tie"));
    this.change({ ...ranking, tie: !ranking.tie }, this.sentence(ranking.tie ? "next_after" : "next_tied"));
  }

  undo() {
    if (!this.history.length) return this.say(this.sentence("nothing_to_undo"));
    this.ranking = this.history.at(-1);
    this.history = this.history.slice(0, -1);
    this.settle(this.sentence("undone"));
  }

  settle(words) {
    this.isHeld = false;
    if (!this.unsent) this.state("");
    this.paint();
    this.keepDraft();
    this.say(words);
  }

  instead(outcome, why = 0) {
    const same = this.ranking.outcome === outcome && this.ranking.why === why;
    const next = { ...this.ranking, outcome: same ? "ranked" : outcome, why: same ? 0 : why };
    this.choose(null);
    this.change(next, same ? this.sentence("back_to_ranking") : this.sentence("enter_submits", { what: this.outcomeText(next) }));
  }

  skip() {
    if (this.ranking.outcome === "skipped") return this.instead("skipped", this.ranking.why);
    this.choose(this.choosing === "skip" ? null : "skip");
    if (this.choosing) this.say([this.sentence("why_skip"), ...this.data.words.skips.map((why, index) => `${index + 1}: ${why}.`)].join(" "));
  }

  choose(what, place = this.active) {
    this.choosing = what;
    if (what !== "mark") this.marking = null;
    if (["flag", "rate", "mark"].includes(what)) this.active = place ?? 0;
    this.paint();
  }

  flag(flag, place = this.active) {
    if (place === null) return this.say(this.sentence("choose_first"));
    const next = flagged(this.ranking, place, flag);
    const words = next.flags[place].includes(flag) ? "flagged" : "unflagged";
    this.active = place;
    this.change(next, this.sentence(words, { number: place + 1, flag: this.flagName(flag) }));
  }

  rate(value, place = this.active) {
    if (!this.data.ask_ratings) return;
    if (place === null) return this.say(this.sentence("choose_first"));
    this.active = place;
    this.choosing = null;
    const next = rated(this.ranking, place, value);
    this.change(next, this.sentence(next.ratings[place] ? "rated" : "unrated", { number: place + 1, rating: value }));
  }

  // ---- Marking parts of a completion

  mark(place = this.active) {
    if (!this.data.mark_spans || !this.data.flags.length) return;
    if (this.choosing === "mark") return this.choose(null);
    if (this.views.diff) this.toggleView("diff");
    this.active = place ?? 0;
    this.marking = new Marking(this.texts()[this.active], this.task.completions[this.active]);
    if (!this.marking.words.length) return;
    this.choose("mark", this.active);
    this.say(this.sentence("marking", { quote: this.marking.quote }));
  }

  // Use the browser's selection once it has stopped changing and lies within one completion.
  selected() {
    if (!this.data?.mark_spans || !this.data.flags.length || !this.task || this.views.diff) return;
    clearTimeout(this.selecting);
    this.selecting = setTimeout(() => {
      const selection = this.root.getRootNode().getSelection?.() ?? document.getSelection();
      if (selection?.type !== "Range" || !this.task) return;
      const range = selection.getRangeAt(0);
      const place = this.texts().findIndex((text) => text.contains(range.startContainer) && text.contains(range.endContainer));
      if (place < 0) return;
      const marking = new Marking(this.texts()[place], this.task.completions[place]);
      if (!marking.select(range)) return;
      this.marking = marking;
      this.choose("mark", place);
    }, SELECTION_RESTS);
  }

  markAs(kind) {
    const span = this.marking?.span(this.active, kind);
    if (!span) return this.say(this.sentence("mark_in_plain"), true);
    const { quote } = this.marking;
    this.root.getRootNode().getSelection?.()?.removeAllRanges();
    this.choose(null);
    this.change(marked(this.ranking, span), this.sentence("marked", { quote, flag: this.flagName(kind) }));
  }

  // ---- Writing an ideal answer

  write(place = this.active) {
    const [panel, field] = [this.find(".writing"), this.find(".writing textarea")];
    if (!field.value) {
      this.editedFrom = place;
      field.value = place === null ? "" : this.task.completions[place].text;
    }
    panel.hidden = false;
    this.paint();
    field.focus();
  }

  // Clear the written answer; if it is empty, close its field.
  unwrite() {
    const field = this.find(".writing textarea");
    if (!field.value) this.find(".writing").hidden = true;
    field.value = "";
    this.editedFrom = null;
    this.paint();
    this.keepDraft();
    // A hidden field keeps the focus until the next frame and would swallow keys pressed before that.
    if (this.find(".writing").hidden) this.root.focus({ preventScroll: true });
    else field.focus();
  }

  strengthen(index) {
    if (!this.data.ask_strength) return;
    if (!(index > 0)) return this.say(this.sentence("place_two"));
    const name = stepBefore(this.ranking, index);
    const step = ((this.ranking.steps[name] || 0) + 1) % (STRONGEST + 1);
    this.change({ ...this.ranking, steps: { ...this.ranking.steps, [name]: step } }, step ? this.sentence("step_given", { step: this.data.words.steps[step - 1] }) : this.sentence("step_back"));
  }

  // G sets the step above the chip in focus, otherwise the last step between two completions that the annotator placed.
  strengthKey(chip) {
    const placedByHand = this.ranking.groups.length - (this.ranking.groups.at(-1)?.[0] === this.ranking.auto ? 1 : 0);
    const last = this.active === null ? -1 : groupOf(this.ranking, this.active);
    this.strengthen(chip !== null ? groupOf(this.ranking, chip) : last > 0 ? last : placedByHand > 1 ? placedByHand - 1 : this.ranking.groups.length - 1);
  }

  submit() {
    if (!this.task) return;
    if (!this.isReady()) return this.say(this.sentence(this.data.allow_partial ? "place_at_least_two" : "place_every"), true);
    if (this.unsent) {
      this.isHeld = true;
      return this.say(this.sentence("held"), true);
    }
    this.countTime();
    const { ranking, task } = this;
    const isRanked = ranking.outcome === "ranked";
    const words = this.find(".reason textarea").value.trim();
    const steps = this.data.ask_strength && isRanked ? strengths(ranking) : [];
    this.keepDraft();
    const submission = freshId();
    serverDrafts.drop(task.token);
    this.last = { task, draft: this.draft(), submission, who: this.data.who };
    lastSent.put(LAST, this.last);
    this.setUnsent({
      token: task.token,
      submission,
      revises: task.revises ?? null,
      outcome: ranking.outcome,
      order: isRanked ? ranking.groups : [],
      strength: steps.some(Boolean) ? steps : [],
      flags: Object.fromEntries(Object.entries(ranking.flags).filter(([, names]) => names.length)),
      ratings: this.data.ask_ratings ? ranking.ratings : {},
      spans: ranking.spans,
      demonstration: this.writtenAnswer().text,
      edited_from: this.writtenAnswer().from,
      why: ranking.outcome === "skipped" ? ranking.why : 0,
      reason: words,
      seconds: Math.round(this.seconds * 10) / 10,
    });
    this.showProblem("");
    this.send();
    this.show(this.next);
    this.next = null;
    this.root.scrollIntoView({ block: "start" });
    if (this.task) this.say(this.sentence("next_prompt", { count: this.task.completions.length }));
  }

  // ---- Editing the last ranking

  // Open the last submitted ranking for editing; if it is open, cancel the edit.
  reopen() {
    if (this.data.opened) return;
    if (this.task?.revises) return this.cancelEdit();
    if (!this.last) return this.say(this.sentence("nothing_submitted"), true);
    const { task, draft, submission } = this.last;
    this.keepDraft();
    this.show({ ...task, revises: submission, draft: { ...draft, revises: submission, at: 0 } });
    this.next = this.following();
    this.root.scrollIntoView({ block: "start" });
    this.say(this.sentence("editing"));
  }

  cancelEdit() {
    drafts.drop(DRAFT + this.task.token);
    serverDrafts.drop(this.task.token);
    this.show(this.following());
    this.next = this.following();
    this.say(this.sentence("edit_cancelled"));
  }

  // A refused answer was not stored, so it cannot be revised. The ranking that it would have revised still can.
  forgetLast(submission) {
    if (this.last?.submission !== submission) return;
    const { task } = this.last;
    if (this.task?.revises === submission) this.task = task;
    this.last = task.revises ? { ...this.last, submission: task.revises } : null;
    if (this.last) lastSent.put(LAST, this.last);
    else lastSent.drop(LAST);
  }

  // ---- Saving and sending

  draft() {
    return {
      at: Date.now(),
      revises: this.task.revises ?? null,
      ranking: this.ranking,
      reason: this.find(".reason textarea").value,
      seconds: this.seconds,
      demonstration: { text: this.find(".writing textarea").value, from: this.editedFrom },
    };
  }

  keepDraft() {
    if (!this.task) return;
    drafts.put(DRAFT + this.task.token, this.draft());
    serverDrafts.keep(this.task.token, this.draft());
  }

  setUnsent(answer) {
    this.unsent = answer;
    this.attempts = 0;
    if (answer) outbox.put(UNSENT, answer);
    else outbox.drop(UNSENT);
  }

  resendAfter() {
    return Math.min(LONGEST_RESEND, RESEND * 2 ** Math.max(0, this.attempts - 1));
  }

  send() {
    this.attempts += 1;
    this.sentAt = performance.now();
    this.state(this.sentence(this.attempts > 1 ? "retrying" : "saving"), this.attempts > 1);
    this.trigger("answer", { ...this.unsent, holds: [...held.keys()] });
  }

  countTime() {
    this.seconds += this.session.count();
  }

  // ---- Mouse, touch, keys

  dropped(place, drop) {
    if (drop) this.change(dropped(this.ranking, place, drop), this.sentence("moved", { number: place + 1 }));
    this.paint();
  }

  click(event) {
    const target = event.target.closest("[data-do]");
    const card = event.target.closest(".card");
    const place = card ? Number(card.dataset.place) : null;
    if (target) return this.act(target.dataset.do, target, place);
    const selection = this.root.getRootNode().getSelection?.() ?? document.getSelection(); // Chromium has one selection per shadow root
    const isReading = event.target.closest("a, .panel") || selection?.type === "Range";
    if (card && !isReading) this.place(place);
  }

  act(task, target = null, place = null) {
    const acts = {
      place: () => this.place(place),
      flags: () => this.choose(this.choosing === "flag" && this.active === place ? null : "flag", place),
      flag: () => this.flag(target.dataset.flag, place),
      tie: () => this.tie(this.tray.chipInFocus()),
      undo: () => this.undo(),
      submit: () => this.submit(),
      reopen: () => this.reopen(),
      all_bad: () => this.instead("all_bad"),
      indistinguishable: () => this.instead("indistinguishable"),
      skip: () => this.skip(),
      skip_because: () => this.instead("skipped", Number(target.dataset.why)),
      strength: () => this.strengthen(Number(target.dataset.index)),
      guidelines: () => this.toggleGuidelines(),
      plain: () => this.toggleView("plain"),
      diff: () => this.toggleView("diff"),
      zoom: () => this.toggleView("zoom"),
      whole: () => this.toggleView("whole"),
      together: () => this.toggleView("together"),
      copy: () => copyText(target.previousElementSibling).then(() => this.say(this.sentence("copied"), true)),
      rate: () => this.rate(Number(target.textContent), place),
      marking: () => this.mark(place),
      mark_as: () => this.markAs(target.dataset.flag),
      unmark: () => this.change(unmarked(this.ranking, Number(target.dataset.index)), this.sentence("unmarked")),
      write: () => this.write(),
      unwrite: () => this.unwrite(),
      help: () => this.toggleHelp(),
      dismiss: () => this.showProblem(""),
      chip: () => target.focus({ preventScroll: true }),
    };
    acts[task]();
  }

  toggleGuidelines() {
    const guidelines = this.find(".guidelines");
    guidelines.hidden = !guidelines.hidden || !this.data.guidelines;
    this.find("[data-do=guidelines]").setAttribute("aria-expanded", !guidelines.hidden);
    if (!guidelines.hidden) guidelines.scrollIntoView({ block: "nearest" });
  }

  toggleView(name) {
    this.views[name] = !this.views[name];
    if (["diff", "zoom"].includes(name) && this.active === null) this.active = 0;
    if (this.choosing === "mark") this.choose(null);
    if (name === "plain") this.find(".prompt").querySelectorAll(".text").forEach((element, index) => this.fill(element, this.task.messages[index]));
    this.paint();
    if (["plain", "diff"].includes(name)) this.refill();
    this.measure();
    this.paintMarks();
    this.say(this.sentence(`${name}_${this.views[name] ? "on" : "off"}`, { number: (this.active ?? 0) + 1 }));
  }

  toggleHelp() {
    const help = this.find("dialog");
    if (help.open) help.close();
    else help.showModal();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !(this.task || this.last)) return;
    const target = event.composedPath()[0];
    if (takesKeys(target)) return;
    const help = this.find("dialog");
    const isInside = this.root.contains(target);
    const onButton = target.closest?.("button:not(.chip), a, summary") && (isInside || event.key === " ");
    if ((event.key === "Enter" || event.key === " ") && onButton) return; // the browser presses the button
    const act = help.open ? this.helpKey(event) : this.task ? this.meaning(event) : event.key === "Backspace" ? () => this.reopen() : null;
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat && !event.key.startsWith("Arrow")) return;
    if (!isInside) this.root.focus({ preventScroll: true });
    act();
  }

  helpKey(event) {
    return event.key === "?" ? () => this.toggleHelp() : null;
  }

  // Return what a key does now, as a function, or null. Also finds digits and letters on keyboards of other scripts.
  meaning(event) {
    const isDigitKey = /^(Digit|Numpad)[1-9]$/.test(event.code) && !event.shiftKey;
    const digit = /^[1-9]$/.test(event.key) ? Number(event.key) : isDigitKey ? Number(event.code.at(-1)) : 0;
    const isLatin = /^[\x20-\x7e]$/.test(event.key);
    const letter = isLatin || !event.code.startsWith("Key") ? event.key : event.code.at(-1);
    const key = letter.length === 1 ? letter.toLowerCase() : letter;
    const chip = this.tray.chipInFocus();
    if (this.choosing === "skip" && digit) return digit <= this.data.words.skips.length ? () => this.instead("skipped", digit) : null;
    if (this.choosing === "flag") {
      if (digit) return digit <= this.task.completions.length ? () => this.choose("flag", digit - 1) : null;
      const flag = this.letters().get(key);
      if (flag) return () => (this.flag(flag), this.choose(null));
    }
    if (this.choosing === "rate" && digit && digit <= BEST_RATING) return () => this.rate(digit);
    if (this.choosing === "mark") {
      if (key.startsWith("Arrow")) return () => this.moveMark(key, event.shiftKey);
      const flag = this.letters().get(key);
      if (flag && flag !== UNACCEPTABLE) return () => this.markAs(flag);
    }
    if (this.choosing && key === "Escape") return () => this.choose(null);
    if (digit) return () => (this.choose(null), this.place(digit - 1));
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[key];
    if (by && chip !== null) return () => this.change(moved(this.ranking, chip, by), this.sentence("moved", { number: chip + 1 }));
    const meanings = {
      t: () => this.tie(chip),
      u: () => this.undo(),
      x: () => this.flag(UNACCEPTABLE, chip ?? this.active),
      f: () => this.choose(this.choosing === "flag" ? null : "flag", chip ?? this.active),
      g: this.data.ask_strength ? () => this.strengthKey(chip) : null,
      b: () => this.instead("all_bad"),
      "=": () => this.instead("indistinguishable"),
      s: () => this.skip(),
      w: () => this.find(".reason textarea").focus(),
      h: () => this.toggleGuidelines(),
      p: () => this.toggleView("plain"),
      d: () => this.toggleView("diff"),
      z: () => this.toggleView("zoom"),
      l: () => this.toggleView("whole"),
      y: () => this.toggleView("together"),
      v: this.data.ask_ratings ? () => this.choose(this.choosing === "rate" ? null : "rate", chip ?? this.active) : null,
      m: this.data.mark_spans ? () => this.mark(chip ?? this.active) : null,
      e: () => this.write(chip ?? this.active),
      "?": () => this.toggleHelp(),
      Enter: () => this.submit(),
      Backspace: () => this.reopen(),
      " ": chip === null ? null : () => this.place(chip),
      ArrowLeft: () => this.look(-1),
      ArrowRight: () => this.look(1),
    };
    return meanings[key] ?? null;
  }

  moveMark(key, isExtending) {
    this.marking.move(key, isExtending);
    this.paintMarks();
    rangeIn(this.marking.element, this.marking.start, this.marking.end)?.startContainer.parentElement.scrollIntoView({ block: "nearest" });
    this.say(this.marking.quote);
  }

  look(by) {
    const count = this.task.completions.length;
    this.active = this.active === null ? (by > 0 ? 0 : count - 1) : (this.active + by + count) % count;
    this.paint();
    const card = this.find(`.card[data-place="${this.active}"]`);
    card.scrollIntoView({ block: "nearest" });
    this.say(card.getAttribute("aria-label"));
  }
}

const screens = new WeakMap();
const style = new CSSStyleSheet();
style.replaceSync(STYLE);

function mounted(parent) {
  parent.adoptedStyleSheets = [style]; // first, so that nothing is shown without the style
  const page = document.createElement("template");
  page.innerHTML = PAGE;
  parent.append(page.content);
  return parent.querySelector(".ranker");
}

// Streamlit calls this on every change of data, on the same elements.
export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".ranker") ?? mounted(parentElement);
  if (!screens.has(root)) screens.set(root, new Screen(root));
  const screen = screens.get(root);
  screen.receive(data, setTriggerValue);
  return () => screen.leave();
}
