// Where each domain and host is drawn: the largest cells with which the map is not much higher than the window.
// Domains of one wider domain are a section of their own, as many sections beside each other as make the map lowest.

const SIZES = [44, 36, 30, 26, 22, 18, 16, 14, 12, 11, 10, 9, 8, 7];
const LABEL = 17;
const HEADING = 26;
const NARROWEST = 62;
const BELOW = 10;
const WIDEST_GAP = 28;

export function arrange(domains, width, height) {
  let found = null;
  for (const size of SIZES) {
    found = place(domains, width, size);
    if (found.height <= height) break;
  }
  return found;
}

/** Hosts beside each other in one domain. */
export function columnsFor(largest, width, step) {
  const fitting = Math.max(1, Math.floor(width / step));
  const rows = largest <= 10 ? 1 : largest <= 40 ? 2 : Math.ceil(largest / 16);
  return Math.min(Math.ceil(largest / rows), fitting, 32);
}

function place(domains, width, size) {
  const largest = Math.max(1, ...domains.map((domain) => domain.hosts.length));
  const step = size + (size >= 14 ? 3 : 2);
  const columns = columnsFor(largest, width, step);
  const block = Math.max(columns * step - (step - size), NARROWEST);
  const between = Math.max(12, Math.round(size * 0.8));
  const beside = Math.max(1, Math.floor((width + between) / (block + between)));
  const measure = { size, step, columns, block, between, beside, label: LABEL, width };
  const sections = sectionsOf(domains);
  const across = sections.length > 1 ? lowest(sections, measure) : beside;
  return { ...measure, across, ...laid(sections, across, spread(measure, sections.length, across)) };
}

/** With what is left of the width between the domains, so that the map is as wide as what is around it. */
function spread(measure, sections, across) {
  const { block, between, beside, width } = measure;
  const used = sections > 1 ? Math.min(Math.max(1, Math.floor(beside / across)), sections) * across : across;
  const left = width - (used * (block + between) - between);
  return { ...measure, between: between + Math.min(WIDEST_GAP, Math.floor(left / Math.max(1, used - 1))) };
}

function sectionsOf(domains) {
  const sections = new Map();
  for (const domain of domains) {
    if (!sections.has(domain.wider)) sections.set(domain.wider, []);
    sections.get(domain.wider).push(domain);
  }
  return [...sections].map(([name, found]) => ({ name, domains: found }));
}

/** How many domains a section has beside each other, so that all is lowest; of equals the widest. */
function lowest(sections, measure) {
  const most = Math.min(measure.beside, Math.max(...sections.map((section) => section.domains.length)));
  let [best, least] = [most, Infinity];
  for (let across = most; across >= 1; across -= 1) {
    const { height } = laid(sections, across, measure);
    if (height < least - 1) [best, least] = [across, height];
  }
  return best;
}

function laid(sections, across, measure) {
  const { block, between, beside, step, columns } = measure;
  const isNested = sections.length > 1;
  const perRow = isNested ? Math.max(1, Math.floor(beside / across)) : 1;
  const wide = across * (block + between);
  const [places, headings] = [[], []];
  let [top, bottom] = [0, 0];
  sections.forEach((section, number) => {
    const column = number % perRow;
    if (column === 0 && number) top = bottom + between;
    const left = column * wide;
    if (isNested) headings.push({ text: section.name || "elsewhere", x: left, y: top, width: wide - between });
    let y = top + (isNested ? HEADING : 0);
    let high = 0;
    section.domains.forEach((domain, at) => {
      if (at && at % across === 0) [y, high] = [y + high + BELOW, 0];
      const rows = Math.max(1, Math.ceil(domain.hosts.length / columns));
      places.push({ domain, x: left + (at % across) * (block + between), y, rows });
      high = Math.max(high, LABEL + rows * step);
    });
    bottom = Math.max(bottom, y + high);
  });
  return { places, headings, height: bottom };
}

/** The upper left corner of a domain's host by its position in the domain. */
export function cell(arranged, place, position) {
  return {
    x: place.x + (position % arranged.columns) * arranged.step,
    y: place.y + arranged.label + Math.floor(position / arranged.columns) * arranged.step,
  };
}

/** The place and position under a point; null where there is no host. */
export function hit(arranged, x, y) {
  for (const place of arranged.places) {
    const [left, top] = [x - place.x, y - place.y - arranged.label];
    if (left < 0 || top < 0 || left >= arranged.columns * arranged.step || top >= place.rows * arranged.step) continue;
    const position = Math.floor(top / arranged.step) * arranged.columns + Math.floor(left / arranged.step);
    if (position < place.domain.hosts.length) return { place, position, host: place.domain.hosts[position] };
  }
  return null;
}

/** The domain nearest above or below a place, by its number; the same where there is none. */
export function neighbour(arranged, number, direction) {
  const from = arranged.places[number];
  let [best, least] = [number, Infinity];
  arranged.places.forEach((place, at) => {
    const down = (place.y - from.y) * direction;
    const distance = down + Math.abs(place.x - from.x) * 4;
    if (down > 0 && distance < least) [best, least] = [at, distance];
  });
  return best;
}
