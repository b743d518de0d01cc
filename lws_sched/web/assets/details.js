// What is chosen: a host, a domain or a group, in full.

import { ask } from "./feed.js";
import { byId, el, fill } from "./dom.js";
import { hostTable } from "./table.js";
import { USES, amount, plural, toneOf, unit } from "./words.js";

const panel = byId("details");

/** Show what is chosen; `let go` calls `choose(null)`. */
export function showDetails(model, choice, choose) {
  panel.hidden = choice === null;
  if (choice === null) return fill(panel);
  if (choice.kind === "host") return showHost(model, choice.host, choose);
  if (choice.kind === "domain") return showDomain(model, choice.domain, choose);
  return showGroup(model, choice.key, choose);
}

function head(title, choose) {
  return el("div", { class: "head" }, el("h2", {}, title),
    el("button", { type: "button", class: "quiet", "data-key": "let-go", "aria-label": "Close", click: () => choose(null) }, "✕"));
}

const facts = (pairs) => el("dl", { class: "facts" }, pairs.flatMap(([term, ...said]) => [el("dt", {}, term), el("dd", {}, ...said)]));

const groupLink = (group, choose) => el("button", {
  type: "button", class: "link", "data-key": `to-${group.key}`, click: () => choose({ kind: "group", key: group.key }),
}, group.key);

function showHost(model, host, choose) {
  if (!(host in model.hosts)) return choose(null);
  const levels = model.levels.map((level, at) => [level.name, model.domainOf(at, host)]).filter(([, domain]) => domain);
  const groups = model.on[host].flatMap((group, at) => [...(at ? [", "] : []), groupLink(group, choose)]);
  fill(panel, head(model.hosts[host], choose), facts([
    ["use", USES[model.use(host)]],
    ...(groups.length ? [["groups", ...groups]] : []),
    ["free", `${amount(model.resource, model.state.free[host])} of ${amount(model.resource, model.layout.capacity[host])} ${unit(model.resource)}`],
    ...(model.isClosed(host) ? [["closed", "takes no new pods: it is cordoned or not ready"]] : []),
    ...levels,
  ]));
}

function showDomain(model, name, choose) {
  const level = model.levels.findIndex((each) => each.domains.includes(name));
  const domain = model.domains(level < 0 ? model.levels.length - 1 : level).find((each) => each.name === name);
  if (!domain) return choose(null);
  fill(panel, head(domain.name, choose), facts([
    ["hosts", `${domain.hosts.length}${domain.closed ? `, ${domain.closed} closed` : ""}`],
    ["free", `${amount(model.resource, domain.free)} of ${amount(model.resource, domain.capacity)} ${unit(model.resource)}`],
    ["fits", domain.largest ? `a group of ${plural(domain.largest, "whole host")}` : "no group of whole hosts"],
  ]), hostTable(model, domain, (host) => choose({ kind: "host", host })));
}

let asked = "";

async function showGroup(model, key, choose) {
  const group = model.byKey.get(key);
  if (!group) return choose(null);
  const tone = toneOf(group);
  const state = el("span", { class: tone ? `state-${tone}` : false }, group.state);
  const known = [
    ["state", state, `, ${group.bound} of ${group.size} bound, ${group.ready} ready`],
    ...(group.restarts ? [["restarts", String(group.restarts)]] : []),
    ...(group.revision ? [["revision", el("code", {}, group.revision)]] : []),
  ];
  if (panel.dataset.key !== key) fill(panel, head(key, choose), facts(known));
  [panel.dataset.key, asked] = [key, key];
  try {
    const { value } = await ask(`api/groups/${encodeURIComponent(group.namespace)}/${encodeURIComponent(group.name)}`);
    if (asked !== key || panel.hidden) return;
    fill(panel, head(key, choose), facts([...known, ...value.facts.map(([heading, text]) => [heading || "note", text])]),
      memberTable(model, value.members, choose));
  } catch (problem) {
    if (asked === key) fill(panel, head(key, choose), facts(known), el("p", { class: "problem" }, problem.message));
  }
}

function memberTable(model, members, choose) {
  const rows = members.map((member) => {
    const name = member.node || member.slot;
    const host = model.hosts.indexOf(name);
    const link = host < 0 ? name || "–" : el("button", {
      type: "button", class: "link", "data-key": `at-${member.pod}`, click: () => choose({ kind: "host", host }),
    }, name);
    return el("tr", {}, el("td", {}, member.pod), el("td", {}, member.state, member.message && el("div", { class: "hint" }, member.message)),
      el("td", {}, link, !member.node && member.slot && " (reserved)"));
  });
  return el("table", {}, el("thead", {}, el("tr", {}, ["member", "state", "host"].map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, rows));
}
