// Making elements. Text is always text: nothing that came from the cluster is ever parsed as HTML.

export const byId = (id) => document.getElementById(id);

/** An element with attributes (functions are listeners, `class` and `data-*` as in HTML) and children. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
  return made;
}

/** Put children in place of what is there, and keep the focus where it was if its element has an equal (by data-key). */
export function fill(parent, ...children) {
  const key = parent.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  parent.replaceChildren(...children.flat().filter(Boolean));
  if (key) parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

let announcing = 0;

/** Tell screen readers, calmly: what comes within the same moment replaces what was about to be said. */
export function announce(text) {
  clearTimeout(announcing);
  announcing = setTimeout(() => {
    byId("announcer").textContent = text;
  }, 150);
}
