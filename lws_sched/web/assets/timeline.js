// What was decided lately, the latest first.

import { byId, el, fill } from "./dom.js";
import { KINDS, listed, plural, ranges, time } from "./words.js";
import { capital } from "./waiting.js";

export function showTimeline(timeline, now) {
  const entries = timeline.entries ?? [];
  const lived = entries.filter((entry) => entry.at >= timeline.since);
  const earlier = entries.filter((entry) => entry.at < timeline.since);
  const list = (found) => found.length > 0 && el("ol", {}, found.map((entry) => decision(entry, now)));
  fill(byId("timeline"),
    list(lived),
    lived.length === 0 && el("div", { class: "nothing" }, el("p", {}, `Nothing has been decided since ${time(timeline.since, now)}.`)),
    earlier.length > 0 && el("p", { class: "earlier" }, "before, as the records tell"),
    list(earlier),
    el("p", { class: "since" }, `Everything is told since ${time(timeline.since, now)}; of the time before, each group's last decision.`));
}

function decision(entry, now) {
  const kind = KINDS[entry.kind] ?? { said: entry.kind, sign: "·", tone: "" };
  const where = [...new Set(entry.groups.map(([, domain]) => domain).filter(Boolean))];
  const more = [
    where.length > 0 && `in ${listed(where, 4)}`,
    entry.reason && `${capital(entry.reason)}.`,
    entry.fix && `Fix: ${entry.fix}.`,
  ].filter(Boolean);
  return el("li", { class: "decision", "data-tone": kind.tone || false },
    el("time", { datetime: new Date(entry.at * 1000).toISOString() }, time(entry.at, now)),
    el("span", { class: "sign", "aria-hidden": "true" }, kind.sign),
    el("div", {}, el("div", {}, el("b", {}, who(entry)), ` ${kind.said}`), more.map((text) => el("div", { class: "more" }, text))));
}

function who(entry) {
  if (entry.count === 1) return `${entry.set}-${entry.groups[0][0]}`;
  const indices = ranges(entry.groups.map(([index]) => index));
  const fits = entry.groups.length === entry.count && indices.length <= 24;
  return fits ? `${entry.set}-[${indices}]` : `${plural(entry.count, "group")} of ${entry.set}`;
}

/** One sentence on what is new, for screen readers. */
export function news(timeline, since) {
  const fresh = (timeline.entries ?? []).filter((entry) => entry.at > since);
  return fresh.slice(0, 3).reverse().map((entry) => `${who(entry)} ${KINDS[entry.kind]?.said ?? entry.kind}`).join(". ");
}
