// Keep data that must outlive the page in the browser's storage.

const DRAFT_DAYS = 14; // older drafts are deleted
const DRAFT_PAUSE = 1000; // milliseconds without a change before a draft goes to the server

function freshId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A storage that falls back to memory if the browser's is full or forbidden; memory lasts as long as the page.
class Shelf {
  constructor(storage) {
    this.open = storage;
    this.memory = new Map();
  }
  put(name, value) {
    this.memory.set(name, value);
    try {
      this.open().setItem(name, JSON.stringify(value));
    } catch {} // memory has it
  }
  get(name) {
    try {
      return JSON.parse(this.open().getItem(name)) ?? this.memory.get(name) ?? null;
    } catch {
      return this.memory.get(name) ?? null;
    }
  }
  drop(name) {
    this.memory.delete(name);
    try {
      this.open().removeItem(name);
    } catch {} // memory has dropped it
  }
  names() {
    try {
      return Object.keys(this.open());
    } catch {
      return [...this.memory.keys()];
    }
  }
}

const drafts = new Shelf(() => localStorage);
const outbox = new Shelf(() => sessionStorage);
const lastSent = new Shelf(() => sessionStorage);
const LAST = "workbench.last";
const UNSENT = "workbench.unsent";
const DRAFT = "workbench.draft.";

function forgetOldDrafts() {
  const oldest = Date.now() - DRAFT_DAYS * 86400e3;
  for (const name of drafts.names()) if (name.startsWith(DRAFT) && !(drafts.get(name)?.at > oldest)) drafts.drop(name);
}

// Return the task's draft that was changed last, here or on the server; drafts that revise another ranking are ignored.
function newestDraft(task) {
  const candidates = [drafts.get(DRAFT + task.token), task.draft].filter((draft) => draft && (draft.revises ?? null) === (task.revises ?? null));
  return candidates.reduce((newest, draft) => (newest?.at >= draft.at ? newest : draft), null);
}

// Sends drafts to the server, for other browsers, when the annotator pauses; the page does not wait for the response.
// A lost request does no harm: the draft stays in this browser's storage and is sent again with the next change.
class ServerDrafts {
  constructor() {
    this.waiting = new Map(); // token -> draft
    this.timer = null;
  }
  keep(token, draft) {
    this.waiting.set(token, draft);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), DRAFT_PAUSE);
  }
  drop(token) {
    this.waiting.delete(token);
  }
  send(isLeaving = false) {
    clearTimeout(this.timer);
    for (const [token, draft] of this.waiting) {
      const body = JSON.stringify({ token, draft });
      const request = { method: "POST", headers: { "Content-Type": "application/json" }, body };
      fetch(new URL("api/draft", document.baseURI), { ...request, keepalive: isLeaving && body.length < 60000 }).catch(() => {});
    }
    this.waiting.clear();
  }
}
const serverDrafts = new ServerDrafts();
