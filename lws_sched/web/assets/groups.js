// All groups, with a box to find some of them.

import { byId, el, fill } from "./dom.js";
import { age, plural, toneOf } from "./words.js";

const SHOWN = 200;

export function showGroups(model, now, chosen) {
  const words = byId("find").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const found = model.groups.filter((group) => {
    const text = `${group.key} ${group.domain} ${group.state}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const rows = found.slice(0, SHOWN).map((group) => row(group, now, chosen));
  fill(byId("group-list"),
    rows.length > 0 && el("table", {},
      el("thead", {}, el("tr", {}, ["group", "state", "ready", "domain", "for"].map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, rows)),
    found.length > SHOWN && el("p", { class: "since" }, `and ${plural(found.length - SHOWN, "more group")}: find them by name`),
    found.length === 0 && el("p", { class: "nothing" }, model.groups.length ? "No group is like that." : "There are no groups yet."));
}

function row(group, now, chosen) {
  const tone = toneOf(group);
  const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.background = `var(--hue-${group.hue})`;
  return el("tr", {},
    el("td", {}, swatch, el("button", {
      type: "button", class: "link", title: group.key, "data-key": `group-${group.key}`, click: () => chosen(group.key),
    }, group.name)),
    el("td", { class: tone ? `state-${tone}` : false }, group.state),
    el("td", {}, `${group.ready}/${group.size}`),
    el("td", {}, group.domain || "–"),
    el("td", {}, group.since ? age(now - group.since) : "–"));
}
