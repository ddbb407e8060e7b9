// What must outlive the page, in the browser's storage.

const DRAFT_DAYS = 14; // drafts older than this are forgotten

function freshId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Where the storage is full or forbidden, things are kept for as long as the page lives.
class Shelf {
  constructor(storage) {
    this.open = storage;
    this.memory = new Map();
  }
  put(name, value) {
    this.memory.set(name, value);
    try {
      this.open().setItem(name, JSON.stringify(value));
    } catch {} // kept in memory above
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
    } catch {} // forgotten in memory above
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
const UNSENT = "workbench.unsent";
const DRAFT = "workbench.draft.";

function forgetOldDrafts() {
  const oldest = Date.now() - DRAFT_DAYS * 86400e3;
  for (const name of drafts.names()) if (name.startsWith(DRAFT) && !(drafts.get(name)?.at > oldest)) drafts.drop(name);
}
