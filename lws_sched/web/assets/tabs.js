// Tabs as the ARIA practices have them: arrow keys choose, Tab goes into the panel.

import { byId, el } from "./dom.js";

export class Tabs {
  #tabs = [...document.querySelectorAll('[role="tab"]')];

  constructor() {
    this.#tabs.forEach((tab, at) => {
      tab.addEventListener("click", () => this.choose(tab));
      tab.addEventListener("keydown", (event) => this.#key(event, at));
    });
  }

  choose(tab) {
    for (const each of this.#tabs) {
      const isIt = each === tab;
      each.setAttribute("aria-selected", String(isIt));
      each.tabIndex = isIt ? 0 : -1;
      byId(each.getAttribute("aria-controls")).hidden = !isIt;
    }
    tab.dispatchEvent(new CustomEvent("chosen", { bubbles: true }));
  }

  /** A number beside a tab's name. */
  count(id, number, tone = "") {
    const tab = byId(id);
    const before = tab.querySelector(".count");
    const text = number ? number.toLocaleString("en") : "";
    if (before?.textContent === text && before?.dataset.tone === tone) return;
    before?.remove();
    if (text) tab.append(el("span", { class: "count", "data-tone": tone || false }, text));
  }

  isShown(id) {
    return !byId(id).hidden;
  }

  #key(event, at) {
    const last = this.#tabs.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.choose(this.#tabs[to]);
    this.#tabs[to].focus();
  }
}
