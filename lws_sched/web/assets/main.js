// Ties the parts together: one model after every answer, one choice, and what is to be seen of both.

import { announce, byId, el, fill } from "./dom.js";
import { showDetails } from "./details.js";
import { Feed, SignedOut } from "./feed.js";
import { showGroups } from "./groups.js";
import { HostMap } from "./map.js";
import { Model } from "./model.js";
import { showSummary } from "./summary.js";
import { showTable } from "./table.js";
import { Tabs } from "./tabs.js";
import { news, showTimeline } from "./timeline.js";
import { showWaiting } from "./waiting.js";
import { wireQuestion } from "./what-if.js";
import { listed, time } from "./words.js";

const OLD = 7; // seconds without an answer before the page says so

let model = null;
let choice = null;
let levelName = "";
let asTable = false;
let lastAnswer = 0;
let problem = null;
let newsSince = Infinity;

const map = new HostMap((host) => choose(host === null ? null : { kind: "host", host }));
const tabs = new Tabs();
const feed = new Feed(seen, lost);

function seen(layout, state, changed) {
  [lastAnswer, problem] = [feed.now(), null];
  if (changed || model?.layout !== layout) {
    model = new Model(layout, state);
    tellNews(state.timeline);
    show();
  }
  showLive();
}

function lost(error) {
  problem = error;
  showLive();
}

function show() {
  showLevels();
  const at = model.levels.findIndex((level) => level.name === levelName);
  const domains = model.domains(at);
  const isEmpty = showEmpty();
  byId("map-view").hidden = asTable || isEmpty;
  byId("table-view").hidden = !asTable || isEmpty;
  byId("legend").hidden = isEmpty || asTable;
  showSummary(model, domains, levelName);
  map.show(model, domains);
  map.named(domains, levelName);
  if (asTable && !isEmpty) showTable(model, domains, levelName, (domain) => choose({ kind: "domain", domain: domain.name }));
  showBanner();
  showSide();
  showDetails(model, choice, choose);
}

function showSide() {
  const now = feed.now();
  tabs.count("tab-waiting", model.waiting.length, "warn");
  tabs.count("tab-groups", model.groups.length);
  const pick = (key) => choose({ kind: "group", key });
  if (tabs.isShown("waiting")) showWaiting(model, now, pick);
  if (tabs.isShown("timeline")) showTimeline(model.state.timeline, now);
  if (tabs.isShown("groups")) showGroups(model, now, pick);
}

function choose(chosen) {
  const before = choice;
  choice = chosen;
  map.host = choice?.kind === "host" ? choice.host : null;
  map.group = choice?.kind === "group" ? choice.key : null;
  map.draw();
  showDetails(model, choice, choose);
  if (choice && JSON.stringify(before) !== JSON.stringify(choice)) {
    announce(`${byId("details").querySelector("h2")?.textContent ?? ""} is shown beside the map`);
  } else if (!choice && before) announce("nothing is chosen");
}

// --- level, map or table ---------------------------------------------------------------------------------------------

function showLevels() {
  const names = model.levels.map((level) => level.name);
  if (!names.includes(levelName)) levelName = names.at(-1) ?? "";
  const select = byId("level");
  if ([...select.options].map((option) => option.value).join() !== names.join()) {
    fill(select, names.map((name) => el("option", { value: name }, name)));
  }
  select.value = levelName;
  select.parentElement.hidden = names.length === 0;
}

byId("level").addEventListener("change", (event) => {
  levelName = event.target.value;
  show();
});

for (const [id, wanted] of [["as-map", false], ["as-table", true]]) {
  byId(id).addEventListener("click", () => {
    asTable = wanted;
    byId("as-map").setAttribute("aria-pressed", String(!asTable));
    byId("as-table").setAttribute("aria-pressed", String(asTable));
    if (model) show();
  });
}

// --- what is out of the ordinary -------------------------------------------------------------------------------------

function showEmpty() {
  const { missing } = model.state;
  const [title, text] = missing.length
    ? ["Reading the cluster", `Still listing ${listed(missing, 6)}.`]
    : ["No nodes", "This cluster has no nodes yet. They appear here as they join."];
  const isEmpty = model.hosts.length === 0;
  byId("empty").hidden = !isEmpty;
  if (isEmpty) fill(byId("empty"), el("h3", {}, title), el("p", {}, text));
  return isEmpty;
}

function showBanner() {
  const banner = byId("banner");
  const said = bannerText();
  banner.hidden = said === null;
  if (said === null) return;
  banner.dataset.tone = said.tone;
  if (banner.dataset.text === said.text) return;
  banner.dataset.text = said.text;
  fill(banner, said.text, said.link && " ", said.link && el("a", { href: "./" }, said.link));
}

function bannerText() {
  if (problem instanceof SignedOut) {
    return { tone: "bad", text: `You are signed out${problem.message ? `: ${problem.message}` : ""}.`, link: "Sign in again" };
  }
  if (isLost()) {
    const since = lastAnswer ? ` since ${time(lastAnswer, feed.now())}; what is shown was true then` : "";
    return { tone: "bad", text: `No answer${since}. Trying again every two seconds.` };
  }
  if (!model) return null;
  const { leader, missing, levels } = model.state;
  if (missing.length && model.hosts.length) {
    return { tone: "warn", text: `Still listing ${listed(missing, 6)}: what is shown is not complete. If it stays so, lws-sched check tells why.` };
  }
  if (leader.state === "nobody") {
    return { tone: "warn", text: "No extender leads: new groups get no place until one does. lws-sched check tells why." };
  }
  if (model.hosts.length && !levels.length) {
    return { tone: "warn", text: "No node carries a topology label, so groups that ask for one rack or block wait. Label the nodes, for example with topology.lws-sched.io/rack." };
  }
  return null;
}

const isLost = () => problem !== null && (lastAnswer === 0 || feed.now() - lastAnswer > OLD);

function showLive() {
  const state = isLost() || problem instanceof SignedOut ? "lost" : lastAnswer ? "live" : "";
  byId("live").dataset.state = state;
  const { holder } = model?.state.leader ?? {};
  byId("leader").textContent = holder && state === "live" ? `${holder} leads` : "";
  const text = { lost: "No answer", live: "Live", "": "Connecting" }[state];
  if (byId("live-text").textContent !== text) byId("live-text").textContent = text;
  document.body.classList.toggle("stale", state === "lost");
  showBanner();
}

function tellNews(timeline) {
  const text = news(timeline, newsSince);
  newsSince = Math.max(timeline.entries[0]?.at ?? timeline.since, newsSince === Infinity ? 0 : newsSince);
  if (text) announce(text);
}

// --- the rest --------------------------------------------------------------------------------------------------------

const THEMES = { "": ["Auto", "as the system"], light: ["Light", "light"], dark: ["Dark", "dark"] };

function showTheme() {
  const [name, said] = THEMES[document.documentElement.dataset.theme ?? ""];
  byId("theme").textContent = name;
  byId("theme").setAttribute("aria-label", `${name}: the theme is ${said}; change it`);
  map.themed();
}

byId("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(document.documentElement.dataset.theme ?? "") + 1) % names.length];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  try {
    localStorage.setItem("lws-sched-theme", next);
  } catch {
    // It is kept until the page is left, then.
  }
  showTheme();
});
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);

byId("find").addEventListener("input", () => model && showSide());
document.addEventListener("chosen", () => model && showSide());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && choice && event.target !== byId("map")) choose(null);
});
setInterval(() => model && !document.hidden && showSide(), 15000); // how long groups wait

wireQuestion(() => model, (slots) => {
  const numbers = new Map((model?.hosts ?? []).map((name, host) => [name, host]));
  map.preview(new Map([...slots].map(([name, pods]) => [numbers.get(name), pods])));
});
showTheme();
feed.start();
