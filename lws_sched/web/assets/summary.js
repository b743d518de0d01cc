// Figures at a glance, above everything.

import { byId, el, fill } from "./dom.js";
import { amount, unit } from "./words.js";

export function showSummary(model, domains, level) {
  const { free, held, used, capacity, hosts, closed } = model.totals();
  const said = (value) => amount(model.resource, value);
  const running = model.groups.filter((group) => group.bound === group.size).length;
  const waiting = model.waiting.length;
  const best = domains.reduce((most, domain) => (domain.largest > (most?.largest ?? 0) ? domain : most), null);
  const levelAt = model.levels.findIndex((each) => each.name === level);
  const broken = model.state.levels[levelAt]?.fragmentation;
  fill(byId("summary"),
    figure(`${hosts.toLocaleString("en")}`, `host${hosts === 1 ? "" : "s"}${closed ? `, ${closed} closed` : ""}`),
    figure([`${running}`, el("small", {}, ` of ${model.groups.length}`)], "groups whole and bound"),
    figure(`${waiting}`, waiting === 1 ? "group waits" : "groups wait", waiting ? "warn" : ""),
    shares({ free, held, used, capacity }, model.resource),
    domains.length > 0 && figure([`${best?.largest ?? 0}`, el("small", {}, ` host${best?.largest === 1 ? "" : "s"}`)],
      best ? `largest group that fits, in ${best.name}` : "whole and free"),
    broken !== undefined && free > 0 && figure(`${broken < 1 ? Math.min(99, Math.round(broken * 100)) : 100}%`, `of what is free lies outside the best ${level}`));

  function shares(parts) {
    const text = `${said(parts.used)} used, ${said(parts.held)} reserved, ${said(parts.free)} free`;
    const bar = ["used", "held", "free"].map((name) => {
      const span = el("span", { class: name });
      span.style.flex = `${capacity ? parts[name] / capacity : 0} 1 0`;
      return parts[name] > 0 && span;
    });
    return el("div", { class: "figure wide" },
      el("div", { class: "share", "aria-hidden": "true" }, bar),
      el("div", {}, text),
      el("div", { class: "label" }, `of ${said(capacity)} ${unit(model.resource)}`));
  }
}

function figure(number, label, tone = "") {
  return el("div", { class: "figure", "data-tone": tone || false },
    el("div", { class: "number" }, number), el("div", { class: "label" }, label));
}
