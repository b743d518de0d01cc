// One host as a shape. Shapes say what colours say too: a full cell is a complete group's, a hatched one an incomplete
// group's, a ring is reserved, a small grey cell other pods', an outline free; a stroke across is a closed host.

/** The colours of the theme in use, read from the style sheet. */
export function inks() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    hues: Array.from({ length: 10 }, (_, hue) => of(`hue-${hue}`)),
    text: of("text"), muted: of("muted"), edge: of("edge"), line: of("line"), taken: of("taken"), surface: of("surface"),
    accent: of("accent"), ground: of("ground"),
  };
}

export function drawCell(pen, ink, x, y, size, seen) {
  const radius = Math.max(1.5, size / 6);
  pen.globalAlpha = seen.dimmed ? 0.22 : 1;
  if (seen.use === "f") outline(pen, x, y, size, radius, ink.edge, 1, 0.75);
  else if (seen.use === "t") block(pen, x + size * 0.22, y + size * 0.22, size * 0.56, size * 0.56, radius / 2, ink.taken);
  else if (seen.use === "h") outline(pen, x, y, size, radius, seen.colours[0] ?? ink.edge, Math.max(2, size / 7), 1);
  else stand(pen, ink, x, y, size, radius, seen);
  if (seen.closed) stroke(pen, x, y, size, seen.use === "c" || seen.use === "s" ? ink.surface : ink.muted);
  pen.globalAlpha = 1;
}

/** Members stand here: filled from below as far as the host is taken; several groups side by side. */
function stand(pen, ink, x, y, size, radius, seen) {
  const high = Math.max(0.3, Math.min(1, seen.taken)) * size;
  const top = y + size - high;
  const wide = size / seen.colours.length;
  if (high < size - 1) outline(pen, x, y, size, radius, ink.edge, 1, 0.75);
  pen.save();
  pen.beginPath();
  pen.roundRect(x, top, size, high, radius);
  pen.clip();
  seen.colours.forEach((colour, at) => {
    pen.fillStyle = colour;
    pen.fillRect(x + at * wide, top, wide + 0.5, high);
  });
  if (seen.use === "s") hatch(pen, ink.surface, x, y, size);
  pen.restore();
  if (seen.use === "s") outline(pen, x, y, size, radius, seen.colours[0], 1.25, 1);
}

function hatch(pen, colour, x, y, size) {
  pen.strokeStyle = colour;
  pen.lineWidth = Math.max(1.5, size / 9);
  const step = Math.max(4, size / 3);
  pen.beginPath();
  for (let at = -size; at < size; at += step) {
    pen.moveTo(x + at, y + size);
    pen.lineTo(x + at + size, y);
  }
  pen.stroke();
}

function block(pen, x, y, wide, high, radius, colour) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.roundRect(x, y, wide, high, radius);
  pen.fill();
}

function outline(pen, x, y, size, radius, colour, width, alpha) {
  const before = pen.globalAlpha;
  pen.globalAlpha = before * alpha;
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  pen.roundRect(x + width / 2, y + width / 2, size - width, size - width, radius);
  pen.stroke();
  pen.globalAlpha = before;
}

function stroke(pen, x, y, size, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = Math.max(1.5, size / 10);
  pen.beginPath();
  pen.moveTo(x + size * 0.2, y + size * 0.8);
  pen.lineTo(x + size * 0.8, y + size * 0.2);
  pen.stroke();
}

/** A ring around a cell: what is chosen, where the keyboard is, or where a what-if would place a member. */
export function ring(pen, x, y, size, colour, dashed) {
  pen.save();
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.setLineDash(dashed ? [3, 2] : []);
  pen.beginPath();
  pen.roundRect(x - 2, y - 2, size + 4, size + 4, size / 5 + 2);
  pen.stroke();
  pen.restore();
}

/** A small canvas with one cell, for the legend. */
export function sample(ink, seen, size = 14) {
  const canvas = document.createElement("canvas");
  const scale = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [size * scale, size * scale];
  canvas.style.width = canvas.style.height = `${size}px`;
  canvas.setAttribute("aria-hidden", "true");
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  drawCell(pen, ink, 0, 0, size, seen);
  return canvas;
}
