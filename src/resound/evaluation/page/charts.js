// Charts drawn as SVG: points over an axis, and lines with intervals.
"use strict";
const COLOURS = ["var(--first)", "var(--fourth)", "var(--second)", "var(--third)", "var(--bad)", "var(--good)"];
const WIDTH = 520, HEIGHT = 320, LEFT = 52, RIGHT = 12, TOP = 12, BOTTOM = 44;

function svg(tag, options, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(options)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function ticks(low, high, most) {
  const raw = (high - low) / most || 1, power = Math.pow(10, Math.floor(Math.log10(raw)));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(Math.abs(value) < step * 1e-6 ? 0 : value);
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

function rangeOf(values, share = 0.06) {
  const known = values.filter((value) => Number.isFinite(value));
  if (!known.length) return [0, 1];
  let low = known.reduce((a, b) => Math.min(a, b)), high = known.reduce((a, b) => Math.max(a, b));
  if (low === high) { low -= 1; high += 1; }
  const room = (high - low) * share;
  return [low - room, high + room];
}

function powerText(exponent) {
  const value = Math.pow(10, exponent);
  return value >= 1000 || value < 0.001 ? value.toExponential(exponent % 1 ? 1 : 0) : String(Number(value.toPrecision(2)));
}

function chart({ x, y, xLabel, yLabel, xTicks, marks, isLog }) {
  const sx = (value) => LEFT + (value - x[0]) / (x[1] - x[0]) * (WIDTH - LEFT - RIGHT);
  const sy = (value) => HEIGHT - BOTTOM - (value - y[0]) / (y[1] - y[0]) * (HEIGHT - TOP - BOTTOM);
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${yLabel} over ${xLabel}` });
  const up = ticks(y[0], y[1], 6), along = xTicks || ticks(x[0], x[1], 7);
  for (const value of up.found) {
    picture.append(svg("line", { class: value === 0 && y[0] < 0 && !isLog ? "zero" : "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: sy(value), y2: sy(value) }));
    const text = isLog ? powerText(value) : up.digits > 3 && value ? value.toExponential(0) : value.toFixed(up.digits > 3 ? 0 : up.digits);
    picture.append(svg("text", { x: LEFT - 7, y: sy(value) + 4, "text-anchor": "end" }, text));
  }
  along.found.forEach((value, index) => {
    const label = along.labels ? along.labels[index] : value >= 10000 ? `${value / 1000}k` : value.toFixed(along.digits);
    picture.append(svg("text", { x: sx(value), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, label));
  });
  picture.append(svg("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, xLabel));
  picture.append(svg("text", { x: 13, y: (TOP + HEIGHT - BOTTOM) / 2, "text-anchor": "middle", transform: `rotate(-90 13 ${(TOP + HEIGHT - BOTTOM) / 2})` }, yLabel));
  marks(picture, sx, sy);
  return picture;
}

function scatter(points, xLabel, yLabel, onclick) {
  return chart({
    x: rangeOf(points.map((point) => point.x)), y: rangeOf([0, ...points.map((point) => point.y)]), xLabel, yLabel,
    marks: (picture, sx, sy) => {
      for (const point of points) {
        const colour = point.y < 0 ? "var(--bad)" : "var(--first)";
        const dot = svg("circle", { cx: sx(point.x), cy: sy(point.y), r: points.length > 400 ? 2.5 : 4, fill: colour, "fill-opacity": 0.65 },
          svg("title", {}, `${point.name}: ${point.x.toFixed(2)} → ${point.y >= 0 ? "+" : ""}${point.y.toFixed(2)}`));
        dot.onclick = () => onclick(point.name);
        picture.append(dot);
      }
    },
  });
}

function lines(series, xLabel, yLabel, { labels, isLog, rules } = {}) {
  const map = (value) => isLog ? (value > 0 ? Math.log10(value) : NaN) : value;
  const all = series.flatMap((each) => each.y.concat(each.low || [], each.high || [])).concat((rules || []).map((rule) => rule.y)).filter(Number.isFinite).map(map);
  const xs = series.flatMap((each) => each.x);
  const x = labels ? [-0.4, labels.length - 0.6] : rangeOf(xs, 0.01);
  return chart({
    x, y: rangeOf(all), xLabel, yLabel, isLog, xTicks: labels && { found: labels.map((_, index) => index), labels },
    marks: (picture, sx, sy) => {
      const names = [];
      let last = -Infinity, right = 0;  // names that would lie over each other stand side by side
      for (const rule of [...(rules || [])].sort((a, b) => b.y - a.y)) {
        right = sy(rule.y) - last < 13 ? right + 90 : 0;
        last = sy(rule.y);
        picture.append(svg("line", { class: "zero", x1: LEFT, x2: WIDTH - RIGHT, y1: last, y2: last }, svg("title", {}, rule.name)));
        names.push(svg("text", { class: "rule", x: WIDTH - RIGHT - 4 - right, y: last - 4, "text-anchor": "end" }, rule.name));
      }
      series.forEach((each, number) => {
        const colour = COLOURS[number % COLOURS.length];
        const known = each.x.map((_, index) => index).filter((index) => Number.isFinite(each.y[index]) && Number.isFinite(map(each.y[index])));
        if (each.low) {
          const banded = known.filter((index) => Number.isFinite(each.low[index]) && Number.isFinite(each.high[index]));
          const outline = [...banded.map((index) => [each.x[index], each.high[index]]), ...banded.reverse().map((index) => [each.x[index], each.low[index]])];
          picture.append(svg("polygon", { points: outline.map(([a, b]) => `${sx(a)},${sy(map(b))}`).join(" "), fill: colour, "fill-opacity": 0.14 }));
        }
        picture.append(svg("polyline", { points: known.map((index) => `${sx(each.x[index])},${sy(map(each.y[index]))}`).join(" "), fill: "none", stroke: colour, "stroke-width": each.thin ? 1 : 2 }));
        if (known.length < 60) for (const index of known) {
          picture.append(svg("circle", { cx: sx(each.x[index]), cy: sy(map(each.y[index])), r: 3, fill: colour },
            svg("title", {}, `${each.name}, ${labels ? labels[index] : each.x[index]}: ${each.y[index].toPrecision(4)}${each.n ? ` (${each.n[index]} files)` : ""}`)));
        }
      });
      picture.append(...names);
    },
  });
}

function legend(names) {
  const made = document.createElement("div");
  made.className = "legend";
  names.forEach((name, number) => {
    const mark = document.createElement("i"), one = document.createElement("span");
    mark.style.background = COLOURS[number % COLOURS.length];
    one.append(mark, name);
    made.append(one);
  });
  return made;
}
