// Create elements, and recognise what is on the page.

const language = (text) =>
  /[\u3040-\u30ff]/.test(text) ? "ja" : /[\uac00-\ud7af]/.test(text) ? "ko" : /[\u4e00-\u9fff]/.test(text) ? "zh-Hans" : "";
const takesKeys = (element) => Boolean(element?.closest?.("input, textarea, select, [contenteditable], [role=dialog], [role=menu], [role=listbox]"));

function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function button(className, task, ...content) {
  const element = make("button", className);
  element.type = "button";
  element.dataset.do = task;
  element.append(...content);
  return element;
}

// Return the wording with each {name} replaced by its value.
const filled = (wording, values) => wording.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
