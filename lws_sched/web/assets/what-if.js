// What if: a manifest goes to the server, and its answer is told as a table and as rings on the map.

import { ask } from "./feed.js";
import { byId, el, fill } from "./dom.js";
import { listed, plural } from "./words.js";
import { capital } from "./waiting.js";

const EXAMPLE = (level, resource, size) => `apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata:
  name: what-if
  annotations:
    lws-sched.io/required-topology: ${level}
spec:
  replicas: 2
  leaderWorkerTemplate:
    size: ${size}
    workerTemplate:
      spec:
        schedulerName: lws-sched
        containers:
        - name: main
          image: vllm
          resources:
            limits:
              ${resource}
`;

const PATIENCE = 60000;

/** `preview(slots)` is called with a Map of host name to pods, empty where nothing is asked. */
export function wireQuestion(model, preview) {
  byId("question").addEventListener("submit", (event) => {
    event.preventDefault();
    answer(preview);
  });
  byId("manifest").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) answer(preview);
  });
  byId("example").addEventListener("click", () => {
    byId("manifest").value = example(model());
    byId("manifest").focus();
    byId("manifest").setSelectionRange(0, 0);
    byId("manifest").scrollTop = 0;
  });
  byId("forget").addEventListener("click", () => {
    byId("forget").hidden = true;
    fill(byId("answer"));
    preview(new Map());
    byId("manifest").focus();
  });
}

function example(model) {
  const level = model?.levels.at(-1)?.name ?? "kubernetes.io/hostname";
  const most = Math.max(2, ...(model ? model.domains(model.levels.length - 1).map((domain) => domain.hosts.length) : []));
  const whole = Math.max(1, ...(model?.layout.capacity ?? []));
  const resource = !model || model.resource === "cpu" ? 'cpu: "1"' : `${model.resource}: "${whole}"`;
  return EXAMPLE(level, resource, Math.min(4, most));
}

async function answer(preview) {
  const button = byId("ask");
  if (button.disabled) return;
  button.disabled = true;
  fill(byId("answer"), el("p", { class: "hint" }, "Working it out …"));
  try {
    const { value } = await ask("api/what-if", "", {
      method: "POST", headers: { "Content-Type": "application/yaml" }, body: byId("manifest").value,
      signal: AbortSignal.timeout(PATIENCE),
    });
    show(value);
    preview(slotsOf(value.groups));
  } catch (problem) {
    const text = problem.name === "TimeoutError" ? "it took more than a minute and was given up here" : problem.message;
    fill(byId("answer"), el("p", { class: "problem" }, `${capital(text)}.`));
    preview(new Map());
  } finally {
    button.disabled = false;
    byId("forget").hidden = false;
  }
}

function show({ groups, notes }) {
  const placed = groups.filter((group) => group.feasible).length;
  const causes = new Map();
  for (const group of groups.filter((each) => each.reason)) {
    const key = JSON.stringify([group.reason, group.fix]);
    if (!causes.has(key)) causes.set(key, []);
    causes.get(key).push(group.name);
  }
  fill(byId("answer"),
    el("p", {}, el("b", {}, `${placed} of ${plural(groups.length, "group")} ${groups.length === 1 ? "has" : "have"} a place`),
      placed > 0 ? ", ringed on the map." : "."),
    [...causes].map(([key, names]) => cause(...JSON.parse(key), names)),
    groups.length > 0 && table(groups),
    notes.map((note) => el("p", { class: "hint" }, `Note: ${note}.`)));
}

function cause(reason, fix, names) {
  return el("article", { class: "cause" }, el("h3", {}, listed(names)), el("p", { class: "why" }, `${capital(reason)}.`),
    fix && el("p", { class: "fix" }, el("b", {}, "Fix"), el("span", {}, `${capital(fix)}.`)));
}

function table(groups) {
  const rows = groups.map((group) => {
    const hosts = [...new Set(group.slots.map((slot) => slot.node))];
    const verdict = group.feasible ? ["✓ yes", "good"] : group.proof === "undecided" ? ["? undecided", "warn"] : ["✕ no", "bad"];
    return el("tr", {}, el("td", {}, group.name), el("td", { class: `state-${verdict[1]}` }, verdict[0]),
      el("td", {}, group.domain?.value || (group.feasible ? "the cluster" : "–")), el("td", {}, hosts.length ? listed(hosts, 2) : "–"));
  });
  return el("table", {}, el("thead", {}, el("tr", {}, ["group", "placed", "domain", "hosts"].map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, rows));
}

function slotsOf(groups) {
  const slots = new Map();
  for (const { pod, node } of groups.filter((group) => group.feasible).flatMap((group) => group.slots)) {
    slots.set(node, [...(slots.get(node) ?? []), pod]);
  }
  return slots;
}
