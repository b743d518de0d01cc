// Groups that have no place: by reason, each reason with the fix that would help.

import { byId, el, fill } from "./dom.js";
import { age, listed, plural, ranges } from "./words.js";

const NOT_YET = "its place has not been decided yet";

export function showWaiting(model, now, chosen) {
  const causes = new Map();
  for (const group of model.waiting) {
    const [reason, fix] = model.cause(group);
    const key = JSON.stringify([reason || NOT_YET, fix]);
    if (!causes.has(key)) causes.set(key, []);
    causes.get(key).push(group);
  }
  if (causes.size) fill(byId("waiting"), [...causes].map(([key, groups]) => cause(...JSON.parse(key), groups, now, chosen)));
  else fill(byId("waiting"), nothing(model));
}

function nothing(model) {
  const [title, text] = model.groups.length
    ? ["Nothing waits", `${model.groups.length === 1 ? "The one group has" : `All ${model.groups.length} groups have`} a place.`]
    : ["No groups yet", "Create a LeaderWorkerSet with schedulerName: lws-sched, or try one under What if."];
  return el("div", { class: "nothing" }, el("h3", {}, title), el("p", {}, text));
}

function cause(reason, fix, groups, now, chosen) {
  const oldest = Math.min(...groups.map((group) => group.since || now));
  const parts = bySet(groups).map(([set, members]) => who(set, members, chosen));
  const shown = parts.slice(0, 4);
  return el("article", { class: "cause" },
    el("div", { class: "who" }, shown, parts.length > 4 && el("span", { class: "hint" }, `and ${plural(parts.length - 4, "more set")}`),
      el("span", { class: "hint" }, `for ${age(now - oldest)}`)),
    el("p", { class: "why" }, capital(reason), "."),
    fix && el("p", { class: "fix" }, el("b", {}, "Fix"), el("span", {}, capital(fix), ".")));
}

function who(set, groups, chosen) {
  const [first] = groups;
  const name = groups.length === 1 ? first.name : `${first.set}-[${ranges(groups.map((group) => group.index))}]`;
  const label = groups.length === 1 ? name : `${plural(groups.length, "group")} of ${first.set}`;
  return el("h3", {}, el("button", {
    type: "button", class: "link", title: `${first.namespace}/${listed(groups.map((group) => group.name), 8)}`,
    "data-key": `waits-${set}`, click: () => chosen(first.key),
  }, label));
}

function bySet(groups) {
  const sets = new Map();
  for (const group of groups) {
    const key = `${group.namespace}/${group.set}`;
    if (!sets.has(key)) sets.set(key, []);
    sets.get(key).push(group);
  }
  return [...sets];
}

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
