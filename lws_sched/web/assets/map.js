// The map: domains as blocks of cells on one canvas, for the mouse, for touch and for the keyboard.

import { announce, byId, el, fill } from "./dom.js";
import { drawCell, inks, ring, sample } from "./drawing.js";
import { arrange, cell, hit, neighbour } from "./geometry.js";
import { USES, amount, plural, unit } from "./words.js";

const SHARE_OF_WINDOW = 0.82;

export class HostMap {
  #canvas = byId("map");
  #pen = this.#canvas.getContext("2d");
  #tip = byId("tip");
  #ink = inks();
  #model = null;
  #domains = [];
  #arranged = null;
  #cursor = null; // [domain, position] of the keyboard
  #preview = new Map(); // host -> pods that a what-if would place there

  /** `chosen(host)` is called with a host's number, or null. */
  constructor(chosen) {
    this.chosen = chosen;
    this.group = null; // the key of the group to stand out
    this.host = null; // the host that is chosen
    new ResizeObserver(() => this.draw(true)).observe(byId("map-view"));
    this.#canvas.addEventListener("pointermove", (event) => this.#point(event));
    this.#canvas.addEventListener("pointerleave", () => this.#hideTip());
    this.#canvas.addEventListener("click", (event) => this.#click(event));
    this.#canvas.addEventListener("keydown", (event) => this.#key(event));
    this.#canvas.addEventListener("focus", () => this.#focused());
    this.#canvas.addEventListener("blur", () => this.draw());
  }

  show(model, domains) {
    const isNew = domains.length !== this.#domains.length || this.#model?.layout !== model.layout;
    [this.#model, this.#domains] = [model, domains];
    this.draw(isNew || domains[0]?.name !== this.#arranged?.places[0]?.domain.name);
  }

  preview(hosts) {
    this.#preview = hosts;
    this.draw();
  }

  themed() {
    this.#ink = inks();
    this.legend();
    this.draw();
  }

  legend() {
    const [first, second] = this.#ink.hues;
    const shapes = [
      ["c", "complete group", { colours: [first], taken: 1 }],
      ["s", "group not complete", { colours: [second], taken: 1 }],
      ["h", "reserved", { colours: [first] }],
      ["t", "other pods", {}],
      ["f", "free", {}],
      ["f", "takes no pods", { closed: true }],
    ];
    const told = shapes.map(([use, text, more]) =>
      el("span", { role: "listitem" }, sample(this.#ink, { use, colours: [], taken: 1, ...more }), text));
    fill(byId("legend"), ...told, el("span", { role: "listitem" }, "one colour per group"));
  }

  draw(anew = false) {
    const model = this.#model;
    if (!model || byId("map-view").hidden) return;
    const width = this.#canvas.parentElement.clientWidth;
    if (!width) return;
    if (anew || !this.#arranged || this.#arranged.width !== width) {
      this.#arranged = arrange(this.#domains, width, window.innerHeight * SHARE_OF_WINDOW);
    } else {
      this.#arranged.places.forEach((place, at) => { place.domain = this.#domains[at]; });
    }
    this.#scale(width, this.#arranged.height + 4);
    const pen = this.#pen;
    pen.clearRect(0, 0, width, this.#arranged.height + 4);
    pen.textBaseline = "alphabetic";
    for (const heading of this.#arranged.headings) this.#heading(heading);
    for (const place of this.#arranged.places) this.#domain(place);
    this.#rings();
    performance.mark("drawn");
  }

  #scale(width, height) {
    const scale = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.#canvas.width !== wide || this.#canvas.height !== high) {
      [this.#canvas.width, this.#canvas.height] = [wide, high];
      this.#canvas.style.height = `${height}px`;
    }
    this.#pen.setTransform(scale, 0, 0, scale, 0, 0);
  }

  #heading({ text, x, y, width }) {
    const pen = this.#pen;
    pen.fillStyle = this.#ink.muted;
    pen.font = `600 12px ${FONT}`;
    const name = fitted(pen, text, width);
    pen.fillText(name, x, y + 13);
    const from = pen.measureText(name).width + 10;
    pen.fillStyle = this.#ink.line;
    pen.fillRect(x + from, y + 9, Math.max(0, width - from), 1);
  }

  #domain(place) {
    const [pen, { size, block }] = [this.#pen, this.#arranged];
    const { domain } = place;
    pen.font = `11.5px ${FONT}`;
    const free = `${amount(this.#model.resource, domain.free)} free`;
    const freeWidth = pen.measureText(free).width;
    const room = block - freeWidth - 8;
    pen.fillStyle = this.#ink.text;
    const name = fitted(pen, domain.name, room >= 40 ? room : block);
    pen.fillText(name, place.x, place.y + 11);
    if (room >= 40 && pen.measureText(name).width <= room) {
      pen.fillStyle = this.#ink.muted;
      pen.fillText(free, place.x + block - freeWidth, place.y + 11);
    }
    domain.hosts.forEach((host, position) => {
      const at = cell(this.#arranged, place, position);
      drawCell(pen, this.#ink, at.x, at.y, size, this.#seen(host));
    });
  }

  #seen(host) {
    const model = this.#model;
    const groups = model.on[host];
    const isOut = this.group !== null && !groups.some((group) => group.key === this.group);
    return {
      use: model.use(host), closed: model.isClosed(host), taken: model.taken(host), dimmed: isOut,
      colours: groups.slice(0, 4).map((group) => this.#ink.hues[group.hue]),
    };
  }

  #rings() {
    const { size } = this.#arranged;
    for (const place of this.#arranged.places) {
      place.domain.hosts.forEach((host, position) => {
        const at = cell(this.#arranged, place, position);
        if (this.#preview.has(host)) {
          ring(this.#pen, at.x, at.y, size, this.#ink.accent, false);
          this.#pen.fillStyle = this.#ink.accent;
          this.#pen.beginPath();
          this.#pen.arc(at.x + size / 2, at.y + size / 2, Math.max(2, size / 6), 0, 2 * Math.PI);
          this.#pen.fill();
        }
        if (host === this.host) ring(this.#pen, at.x, at.y, size, this.#ink.text, false);
      });
    }
    const place = this.#cursor && this.#arranged.places[this.#cursor[0]];
    if (place && document.activeElement === this.#canvas) {
      const at = cell(this.#arranged, place, this.#cursor[1]);
      ring(this.#pen, at.x, at.y, size, this.#ink.text, true);
    }
  }

  // --- pointing ------------------------------------------------------------------------------------------------------

  #under(event) {
    const box = this.#canvas.getBoundingClientRect();
    return this.#arranged && hit(this.#arranged, event.clientX - box.left, event.clientY - box.top);
  }

  #point(event) {
    const found = this.#under(event);
    this.#canvas.style.cursor = found ? "pointer" : "default";
    if (!found || event.pointerType === "touch") return this.#hideTip();
    const [name, ...more] = this.describe(found.host);
    fill(this.#tip, el("strong", {}, name), ...more.map((line) => el("div", {}, line)));
    this.#tip.hidden = false;
    const at = cell(this.#arranged, found.place, found.position);
    const left = Math.min(at.x + this.#arranged.size + 8, this.#arranged.width - this.#tip.offsetWidth);
    this.#tip.style.left = `${Math.max(0, left)}px`;
    this.#tip.style.top = `${at.y + this.#arranged.size + 8}px`;
  }

  #hideTip() {
    this.#tip.hidden = true;
  }

  #click(event) {
    this.chosen(this.#under(event)?.host ?? null);
  }

  /** A host in lines of words: its name, its use, its groups. */
  describe(host) {
    const model = this.#model;
    const groups = model.on[host].map((group) => group.name);
    const free = `${amount(model.resource, model.state.free[host])} of ${amount(model.resource, model.layout.capacity[host])} ${
      unit(model.resource)} free`;
    const use = groups.length ? `${USES[model.use(host)]}: ${groups.join(", ")}` : USES[model.use(host)];
    const planned = this.#preview.get(host);
    return [
      model.hosts[host], use, free, ...(model.isClosed(host) ? ["takes no new pods: cordoned or not ready"] : []),
      ...(planned ? [`what if: ${planned.join(", ")}`] : []),
    ];
  }

  // --- the keyboard --------------------------------------------------------------------------------------------------

  #focused() {
    this.#cursor ??= this.#domains.length ? [0, 0] : null;
    this.draw();
    if (this.#cursor) this.#tellCursor();
  }

  #key(event) {
    if (!this.#cursor) return;
    const moved = this.#moved(event.key);
    if (moved) {
      this.#cursor = moved;
      this.draw();
      this.#scrollToCursor();
      this.#tellCursor();
    } else if (event.key === "Enter" || event.key === " ") this.chosen(this.#cursorHost());
    else if (event.key === "Escape") this.chosen(null);
    else return;
    event.preventDefault();
  }

  /** Where a key leads, as [domain, position]; null for other keys. Beyond the edge of a domain is the next one. */
  #moved(key) {
    const [domain, position] = this.#cursor;
    const { columns } = this.#arranged;
    const beyond = (direction, where) => {
      const next = neighbour(this.#arranged, domain, direction);
      return next === domain ? [domain, position] : inside(next, where);
    };
    const last = (at) => this.#domains[at].hosts.length - 1;
    const inside = (at, where) => (at < 0 || at >= this.#domains.length ? [domain, position] : [at, Math.min(where, last(at))]);
    switch (key) {
      case "ArrowRight": return position < last(domain) ? [domain, position + 1] : inside(domain + 1, 0);
      case "ArrowLeft": return position > 0 ? [domain, position - 1] : inside(domain - 1, Infinity);
      case "ArrowDown": return position + columns <= last(domain) ? [domain, position + columns] : beyond(1, position % columns);
      case "ArrowUp": return position >= columns ? [domain, position - columns] : beyond(-1, Infinity);
      case "PageDown": return inside(domain + 1, 0);
      case "PageUp": return inside(domain - 1, 0);
      case "Home": return [0, 0];
      case "End": return [this.#domains.length - 1, last(this.#domains.length - 1)];
      default: return null;
    }
  }

  #cursorHost() {
    return this.#domains[this.#cursor[0]]?.hosts[this.#cursor[1]] ?? null;
  }

  #tellCursor() {
    const host = this.#cursorHost();
    if (host === null) return;
    const domain = this.#domains[this.#cursor[0]];
    const where = `${domain.name}, host ${this.#cursor[1] + 1} of ${domain.hosts.length}`;
    announce([...this.describe(host), where].join(". "));
  }

  #scrollToCursor() {
    const place = this.#arranged.places[this.#cursor[0]];
    const at = cell(this.#arranged, place, this.#cursor[1]);
    const box = this.#canvas.getBoundingClientRect();
    const [top, bottom] = [box.top + at.y - 40, box.top + at.y + this.#arranged.size + 40];
    if (top < 0) window.scrollBy({ top, behavior: "instant" });
    else if (bottom > window.innerHeight) window.scrollBy({ top: bottom - window.innerHeight, behavior: "instant" });
  }

  /** What the canvas is called: what a person would say of it at a glance. */
  named(domains, level) {
    const free = domains.filter((domain) => domain.largest > 0).length;
    this.#canvas.setAttribute("aria-label",
      `Map of ${plural(this.#model.hosts.length, "host")} in ${plural(domains.length, level || "domain")}; ${free} with whole hosts free`);
  }
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';

function fitted(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let kept = text;
  // The end of a name tells domains apart.
  while (kept.length > 1 && pen.measureText(`…${kept}`).width > width) kept = kept.slice(1);
  return `…${kept}`;
}
