// What the answers tell, as objects: hosts by number, groups with their hosts, domains of each level.

export const HUES = 10;

export class Model {
  constructor(layout, state) {
    this.layout = layout;
    this.state = state;
    this.resource = layout.resource ?? "";
    this.hosts = layout.hosts ?? [];
    this.groups = groupsOf(state);
    this.on = hostsOf(this.hosts.length, this.groups);
    this.byKey = new Map(this.groups.map((group) => [group.key, group]));
  }

  get levels() {
    return this.layout.levels ?? [];
  }

  /** The domains of a level, each with its hosts, figures and wider domain; all hosts as one where there is no level. */
  domains(number) {
    const level = this.levels[number];
    if (!level) return this.hosts.length ? [this.#whole()] : [];
    const figures = this.state.levels[number];
    const found = level.domains.map((name, at) => ({
      name, hosts: [], free: figures.free[at], held: figures.held[at], used: figures.used[at],
      capacity: figures.capacity[at], closed: figures.closed[at], largest: figures.largest[at], wider: "",
    }));
    const outside = { name: `without ${level.name}`, hosts: [], wider: "", outside: true };
    level.of.forEach((domain, host) => (found[domain] ?? outside).hosts.push(host));
    const wider = this.levels[number - 1];
    if (wider) {
      for (const each of found) each.wider = wider.domains[wider.of[each.hosts[0]]] ?? "";
      found.sort((a, b) => wider.domains.indexOf(a.wider) - wider.domains.indexOf(b.wider));
    }
    return outside.hosts.length ? [...found, this.#added(outside)] : found;
  }

  /** The domain of a host at a level; "" where it has none. */
  domainOf(number, host) {
    const level = this.levels[number];
    return level ? level.domains[level.of[host]] ?? "" : "";
  }

  use(host) {
    return this.state.use[host] ?? "f";
  }

  isClosed(host) {
    return this.state.closed[host] === "1";
  }

  /** The share of the host's main resource that is taken, 0 to 1. */
  taken(host) {
    const capacity = this.layout.capacity[host];
    return capacity ? 1 - this.state.free[host] / capacity : this.use(host) === "f" ? 0 : 1;
  }

  cause(group) {
    return this.state.causes[group.cause] ?? ["", ""];
  }

  get waiting() {
    return this.groups.filter((group) => group.state !== "Bound" && !group.hasPlace);
  }

  /** Of all hosts: what is free, held, used, and there. */
  totals() {
    const all = this.domainsTotal();
    return { ...all, hosts: this.hosts.length, closed: [...this.state.closed].filter((each) => each === "1").length };
  }

  domainsTotal() {
    const sum = (numbers) => numbers.reduce((total, each) => total + each, 0);
    const free = sum(this.state.free.map((each, host) => (this.isClosed(host) ? 0 : each)));
    const capacity = sum(this.layout.capacity);
    const narrowest = this.state.levels.at(-1);
    const held = narrowest ? sum(narrowest.held) : 0;
    return { free, capacity, held, used: Math.max(capacity - sum(this.state.free) - held, 0) };
  }

  #whole() {
    const { free, capacity, held, used, closed } = this.totals();
    const largest = this.hosts.filter((_, host) => !this.isClosed(host) && this.taken(host) === 0).length;
    return { name: "all hosts", hosts: [...this.hosts.keys()], free, held, used, capacity, closed, largest, wider: "" };
  }

  #added(domain) {
    const sum = (values) => values.reduce((total, each) => total + each, 0);
    const free = sum(domain.hosts.map((host) => (this.isClosed(host) ? 0 : this.state.free[host])));
    const capacity = sum(domain.hosts.map((host) => this.layout.capacity[host]));
    const whole = domain.hosts.filter((host) => !this.isClosed(host) && this.taken(host) === 0);
    const closed = domain.hosts.filter((host) => this.isClosed(host)).length;
    return { ...domain, free, capacity, held: 0, used: capacity - free, closed, largest: whole.length };
  }
}

function groupsOf(state) {
  const told = state.groups ?? { set: [] };
  return told.set.map((set, at) => {
    const [namespace, index, members] = [told.namespace[at], told.index[at], told.members[at]];
    const name = `${set}-${index}`;
    const bound = [...members].filter((each) => "rbd".includes(each)).length;
    return {
      key: `${namespace}/${name}`, namespace, name, set, index, members, bound, number: at, hue: at % HUES,
      state: told.state[at], revision: told.revision[at], domain: told.domain[at], level: told.level[at],
      restarts: told.restarts[at], since: told.since[at], cause: told.cause[at], hosts: told.hosts[at],
      size: members.length, ready: [...members].filter((each) => each === "r").length,
      hasPlace: told.hosts[at].length > 0 && told.hosts[at].every((host) => host >= 0),
    };
  });
}

/** The groups on each host, each once. */
function hostsOf(count, groups) {
  const on = Array.from({ length: count }, () => []);
  for (const group of groups) {
    for (const host of new Set(group.hosts)) if (host >= 0) on[host]?.push(group);
  }
  return on;
}
