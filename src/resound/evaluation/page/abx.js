// Blind listening: A and B are the two systems in an order nobody sees, X is one of them.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const key = `resound-abx ${data.title}`;
let score = { right: 0, tried: 0, preferred: {} };
try { score = JSON.parse(localStorage.getItem(key)) || score; } catch { /* no storage: the score lives in the page */ }

function coin() { return crypto.getRandomValues(new Uint8Array(1))[0] & 1; }

function chance(right, tried) {  // of as many by guessing
  let sum = 0, term = Math.pow(0.5, tried);
  for (let k = tried; k >= 0; k--) { if (k >= right) sum += term; term = term * k / (tried - k + 1); }
  return sum;
}

function told() {
  const place = document.getElementById("score");
  place.dataset.tried = score.tried;
  const names = Object.entries(score.preferred).map(([name, n]) => `${name} ${n}`).join(", ");
  const p = score.tried ? chance(score.right, score.tried) : 1;
  place.textContent = (score.tried ? `X told rightly ${score.right} of ${score.tried} times (by guessing as often with a chance of ${p < 0.001 ? "< 0.1" : (100 * p).toFixed(1)} %).` : "Nothing told so far.")
    + (names ? ` Preferred: ${names}.` : "");
  try { localStorage.setItem(key, JSON.stringify(score)); } catch { /* see above */ }
}

function trial(place, take) {
  const order = coin() ? [0, 1] : [1, 0], hidden = coin();
  const version = (letter, index) => ({ ...take.versions[order[index]], key: letter, label: letter.toUpperCase(), title: "" });
  const controls = element("div", { class: "controls" }), answer = element("p", { class: "note" });
  const player = addPlayer(controls, { ...take, versions: [version("a", 0), version("b", 1), version("x", hidden)] });
  const tools = element("div", { class: "tools" });
  const again = element("button", { type: "button", class: "button", onclick: () => { player.pause(); trial(place, take); } }, "another trial");
  const guess = (letter, index) => element("button", { type: "button", class: "button", "data-guess": letter, onclick: () => {
    score.tried += 1; score.right += index === hidden;
    answer.textContent = `${index === hidden ? "Right" : "Wrong"}: X was ${"AB"[hidden]}. A is ${take.versions[order[0]].label}, B is ${take.versions[order[1]].label}.`;
    answer.dataset.right = index === hidden;
    done();
  } }, `X is ${letter}`);
  const prefer = (letter, index) => element("button", { type: "button", class: "button", "data-prefer": letter, onclick: () => {
    const name = take.versions[order[index]].label;
    score.preferred[name] = (score.preferred[name] || 0) + 1;
    answer.textContent = `Noted: ${letter} is ${name}.`;
    done();
  } }, `${letter} is better`);
  function done() { tools.replaceChildren(again); told(); }
  tools.append(guess("A", 0), guess("B", 1), prefer("A", 0), prefer("B", 1));
  place.replaceChildren(controls, tools, answer);
}

for (const take of data.takes) trial(document.getElementById(take.id), take);
const forget = document.getElementById("forget");
if (forget) forget.onclick = () => { score = { right: 0, tried: 0, preferred: {} }; told(); };
if (data.takes.length) told();
for (const each of data.scatters) {
  const figure = element("figure", { class: "panel" });
  figure.append(scatter(each.points, each.x, each.y, () => {}), element("figcaption", {}, each.caption));
  document.getElementById("charts").append(figure);
}
document.body.dataset.ready = "yes";
