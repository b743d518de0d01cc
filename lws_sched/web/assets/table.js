// The map as a table: one row per domain, with what its hosts are used for.

import { byId, el, fill } from "./dom.js";
import { USES, amount, listed, unit } from "./words.js";

export function showTable(model, domains, level, chosen) {
  const head = [level || "domain", "hosts", "free", "reserved", "used", `of ${unit(model.resource)}`, "whole hosts free", "groups"];
  const rows = domains.map((domain) => row(model, domain, chosen));
  fill(byId("table-view"), el("table", {},
    el("caption", { class: "unseen" }, `Domains, by ${level || "cluster"}`),
    el("thead", {}, el("tr", {}, head.map((text, at) => el("th", { scope: "col", class: at && at < 7 && "number-cell" }, text)))),
    el("tbody", {}, rows)));
}

function row(model, domain, chosen) {
  const numbers = [domain.free, domain.held, domain.used, domain.capacity].map((each) => amount(model.resource, each));
  const groups = [...new Set(domain.hosts.flatMap((host) => model.on[host]))].map((group) => group.name);
  const hosts = `${domain.hosts.length}${domain.closed ? ` (${domain.closed} closed)` : ""}`;
  const name = el("button", { type: "button", class: "link", "data-key": domain.name, click: () => chosen(domain) }, domain.name);
  return el("tr", {},
    el("th", { scope: "row" }, name),
    [hosts, ...numbers, String(domain.largest)].map((text) => el("td", { class: "number-cell" }, text)),
    el("td", {}, listed(groups, 4)));
}

/** The hosts of one domain. */
export function hostTable(model, domain, chosen) {
  const rows = domain.hosts.map((host) => el("tr", {},
    el("td", {}, el("button", { type: "button", class: "link", "data-key": `host-${host}`, click: () => chosen(host) }, model.hosts[host])),
    el("td", {}, `${USES[model.use(host)]}${model.isClosed(host) ? "; takes no new pods" : ""}`),
    el("td", { class: "number-cell" }, amount(model.resource, model.state.free[host]))));
  return el("table", {},
    el("thead", {}, el("tr", {}, ["host", "use", "free"].map((text, at) =>
      el("th", { scope: "col", class: at === 2 && "number-cell" }, text)))),
    el("tbody", {}, rows));
}
