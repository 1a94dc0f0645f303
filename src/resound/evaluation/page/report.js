// Puts the parts of an evaluation's page together, from the data in it.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
for (const take of data.takes) addPlayer(document.getElementById(take.id), take);
const loudness = document.getElementById("loudness");
if (loudness) loudness.onchange = () => {
  for (const place of document.querySelectorAll(".controls")) {
    place.player.matched = loudness.checked;
    place.player.choose(place.player.version);
  }
};
const table = data.table && sortableTable(document.getElementById("recordings"), data.table);

function find(name) {
  const take = data.takes.find((each) => each.name === name);
  if (take) document.getElementById(take.id).closest(".take").scrollIntoView({ behavior: "smooth" });
  else if (table) table.find(name);
}

function drawCharts(metric) {
  const told = data.charts[metric];
  const place = document.getElementById("charts");
  place.replaceChildren();
  const add = (picture, caption, names) => {
    const figure = document.createElement("figure"), text = document.createElement("figcaption");
    figure.className = "panel"; text.textContent = caption;
    figure.append(picture, ...(names ? [legend(names)] : []), text);
    place.append(figure);
  };
  if (told.points) add(scatter(told.points, `${told.title} of the input`, "improvement", find), told.caption);
  if (told.bands) add(lines(told.bands.series, told.bands.axis, told.title, { labels: told.bands.labels }), told.bands.caption, told.bands.series.map((each) => each.name));
}
const metric = document.getElementById("metric");
if (metric) { metric.onchange = () => drawCharts(metric.value); drawCharts(metric.value); }

for (const each of data.curves || []) {
  const figure = document.createElement("figure"), text = document.createElement("figcaption");
  figure.className = "panel"; text.textContent = each.caption;
  figure.append(lines(each.series, "step", each.title, { isLog: each.is_log, rules: each.rules }));
  if (each.series.length > 1) figure.append(legend(each.series.map((one) => one.name)));
  figure.append(text);
  document.getElementById("curves").append(figure);
}
document.body.dataset.ready = "yes";
