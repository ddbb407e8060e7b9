// How long the annotator has worked since this tab was opened, breaks left out.

const IDLE = 60000; // milliseconds; a pause longer than this counts as this long
const BREAK = 5 * 60000; // a pause longer than this is a break
const LONG = 50 * 60; // seconds without a break after which one is suggested
const SESSION = "workbench.session";

class Session {
  constructor() {
    this.shelf = new Shelf(() => sessionStorage);
    const kept = this.shelf.get(SESSION);
    this.seconds = kept?.seconds ?? 0;
    this.unbroken = kept?.unbroken ?? 0;
    this.seenAt = performance.now();
  }

  // The person gave a sign: return the seconds since the last one that count.
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

  // The page is seen again after it was hidden: that time does not count.
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
