// How long the annotator has worked since this tab was opened, without breaks.

const IDLE = 60000; // milliseconds; a longer pause counts as this long
const BREAK = 5 * 60000; // milliseconds; a longer pause is a break
const LONG = 50 * 60; // seconds of work after which a break is suggested
const SESSION = "workbench.session";

class Session {
  constructor() {
    this.shelf = new Shelf(() => sessionStorage);
    const stored = this.shelf.get(SESSION);
    this.seconds = stored?.seconds ?? 0;
    this.unbroken = stored?.unbroken ?? 0;
    this.seenAt = performance.now();
  }

  // Call when the annotator does something: returns the seconds since the last call that count as work.
  count() {
    const now = performance.now();
    const pause = now - this.seenAt;
    this.seenAt = now;
    const counted = Math.min(pause, IDLE) / 1000;
    const minutes = this.minutes;
    this.seconds += counted;
    this.unbroken = pause > BREAK ? 0 : this.unbroken + counted;
    if (this.minutes !== minutes) this.shelf.put(SESSION, { seconds: this.seconds, unbroken: this.unbroken });
    return counted;
  }

  // Call when the page is visible again: the time for which it was hidden does not count.
  resume() {
    if (performance.now() - this.seenAt > BREAK) this.unbroken = 0;
    this.seenAt = performance.now();
  }

  get minutes() {
    return Math.floor(this.seconds / 60);
  }

  get isLong() {
    return this.unbroken > LONG;
  }
}
