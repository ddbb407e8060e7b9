// Show texts: formatted, plain, or compared with another text.

// Put model text into an element. The server made `html` safe: `workbench.rendering.rendered`.
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
    const copy = button("copy", "copy"); // its icon is drawn by the stylesheet, so that it is not part of the text
    copy.setAttribute("aria-label", copyLabel);
    const block = make("div", "code");
    code.replaceWith(block);
    block.append(code, copy);
    code.tabIndex = 0; // it may scroll horizontally
  }
  return element;
}

// Show word by word what this text adds to the other text, and what it lacks.
function fillDifference(element, other, { text }) {
  element.classList.add("plain");
  element.replaceChildren(
    ...difference(other, text).map((part) => (part.kind === "same" ? part.text : make(part.kind, "", part.text))),
  );
}

async function copyText(element) {
  if (navigator.clipboard) return navigator.clipboard.writeText(element.textContent);
  const selection = document.getSelection(); // pages loaded without encryption have no clipboard
  selection.selectAllChildren(element);
  document.execCommand("copy");
  selection.removeAllRanges();
}

// Scroll the other texts to the same relative position.
function scrollAlike(scrolled, others) {
  const share = scrolled.scrollTop / Math.max(1, scrolled.scrollHeight - scrolled.clientHeight);
  for (const other of others) if (other !== scrolled) other.scrollTop = share * (other.scrollHeight - other.clientHeight);
}
