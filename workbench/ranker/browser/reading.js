// How texts are shown: formatted, as they were written, or beside another one.

// Model text into an element. `html` was made safe by the server: `workbench.rendering.rendered`.
function fillText(element, { html, text }, isPlain, copyLabel) {
  element.dir = "auto";
  element.lang = language(text);
  element.classList.toggle("plain", isPlain);
  if (isPlain) {
    element.textContent = text;
    return element;
  }
  element.innerHTML = html;
  for (const code of element.querySelectorAll("pre")) {
    const copy = button("copy", "copy"); // its sign is drawn by the style, so that it is no part of the text
    copy.setAttribute("aria-label", copyLabel);
    const block = make("div", "code");
    code.replaceWith(block);
    block.append(code, copy);
    code.tabIndex = 0; // it may scroll sideways
  }
  return element;
}

// What this text has that the other has not, and the other way round, word by word.
function fillDifference(element, other, { text }) {
  element.classList.add("plain");
  element.replaceChildren(
    ...difference(other, text).map((part) => (part.kind === "same" ? part.text : make(part.kind, "", part.text))),
  );
}

async function copyText(element) {
  if (navigator.clipboard) return navigator.clipboard.writeText(element.textContent);
  const selection = document.getSelection(); // pages that came without encryption have no clipboard
  selection.selectAllChildren(element);
  document.execCommand("copy");
  selection.removeAllRanges();
}

// Scroll the others as far as this one, each in its own length.
function scrollAlike(scrolled, others) {
  const share = scrolled.scrollTop / Math.max(1, scrolled.scrollHeight - scrolled.clientHeight);
  for (const other of others) if (other !== scrolled) other.scrollTop = share * (other.scrollHeight - other.clientHeight);
}
