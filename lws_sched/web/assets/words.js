// How amounts, times and decisions are said.

export const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** An amount of a resource in scheduler units, as the commands say it. */
export function amount(resource, value) {
  if (resource === "cpu") return (value / 1000).toLocaleString("en", { maximumFractionDigits: 1 });
  return value.toLocaleString("en");
}

export const unit = (resource) => (resource === "cpu" ? "CPUs" : resource);

export function age(seconds) {
  const since = Math.max(Math.floor(seconds), 0);
  for (const [name, length] of [["d", 86400], ["h", 3600], ["m", 60]]) {
    if (since >= 2 * length) return `${Math.floor(since / length)}${name}`;
  }
  return `${since}s`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

/** A time of today as a clock shows it, else with its day. */
export function time(seconds, now) {
  const at = new Date(seconds * 1000);
  return now - seconds < 12 * 3600 ? CLOCK.format(at) : DAY.format(at);
}

/** The first few, and how many more. */
export function listed(names, most = 3) {
  const more = names.length - most;
  return names.slice(0, most).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** Numbers 0, 1, 2, 5 as `0-2, 5`. */
export function ranges(numbers) {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  const parts = [];
  for (let at = 0; at < sorted.length;) {
    let end = at;
    while (sorted[end + 1] === sorted[end] + 1) end += 1;
    parts.push(end > at + 1 ? `${sorted[at]}–${sorted[end]}` : sorted.slice(at, end + 1).join(", "));
    at = end + 1;
  }
  return parts.join(", ");
}

/** What a kind of decision is called, its sign, and its tone. */
export const KINDS = {
  reserved: { said: "reserved", sign: "○", tone: "" },
  committed: { said: "all members came; being bound", sign: "◐", tone: "" },
  bound: { said: "bound", sign: "●", tone: "good" },
  waiting: { said: "waiting", sign: "…", tone: "warn" },
  evicting: { said: "waiting for room that is being made", sign: "⇄", tone: "warn" },
  aborted: { said: "taken down, to be placed anew", sign: "×", tone: "bad" },
  down: { said: "down; slots kept for the return", sign: "↓", tone: "warn" },
  returned: { said: "back on the slots kept", sign: "↺", tone: "good" },
  moved: { said: "members moved to other hosts", sign: "→", tone: "" },
  gone: { said: "gone; slots given back", sign: "–", tone: "" },
};

export const USES = {
  c: "members of a complete group",
  s: "members of a group that is not complete",
  h: "reserved",
  t: "other pods",
  f: "free",
};

const TONES = { Bound: "good", Waiting: "warn", Pending: "warn", NoPods: "warn", Sticky: "warn", Partial: "bad", Aborting: "bad" };
export const toneOf = (group) => (group.state === "Bound" && group.bound < group.size ? "bad" : TONES[group.state] ?? "");

export const MEMBERS = {
  r: "Ready", b: "Bound", d: "Deleting", g: "Gated", p: "Pending", s: "No pod yet", m: "Missing",
};
