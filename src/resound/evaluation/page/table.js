// A table of many rows: sorted by a click on a heading, filtered by name, a hundred rows at a time.
"use strict";
function sortableTable(place, { columns, rows }) {
  const AT_ONCE = 100;
  let key = 0, direction = 1, shown = AT_ONCE, word = "";
  const table = document.createElement("table"), head = table.createTHead().insertRow(), body = table.createTBody();
  const tools = document.createElement("div"), filter = document.createElement("input"), count = document.createElement("span");
  const more = document.createElement("button"), scroll = document.createElement("div");
  table.className = "sortable"; tools.className = "tools"; more.className = "button"; scroll.className = "scroll";
  filter.type = "search"; filter.placeholder = "filter by name"; more.type = "button"; more.textContent = "show more";
  columns.forEach((column, index) => {
    const cell = document.createElement("th"), button = document.createElement("button");
    button.type = "button"; button.textContent = column.title; cell.append(button); head.append(cell);
    button.onclick = () => { direction = key === index ? -direction : index ? -1 : 1; key = index; draw(); };
  });
  filter.oninput = () => { word = filter.value.toLowerCase(); shown = AT_ONCE; draw(); };
  more.onclick = () => { shown += AT_ONCE; draw(); };
  function order(a, b) {
    const one = a[key], other = b[key];
    if (one === null || other === null) return (one === null) - (other === null);  // no value: last, either way
    return direction * (typeof one === "string" ? one.localeCompare(other, undefined, { numeric: true }) : one - other);
  }
  function text(value, column) {
    if (value === null) return "–";
    if (typeof value !== "number") return value;
    const shown = value.toFixed(column.digits).replace(/^-(0\.?0*)$/, "$1");
    return (column.signed && value > 0 ? "+" : "") + shown;
  }
  function draw() {
    const chosen = rows.filter((row) => row[0].toLowerCase().includes(word)).sort(order);
    [...head.cells].forEach((cell, index) => cell.setAttribute("aria-sort", index !== key ? "none" : direction > 0 ? "ascending" : "descending"));
    body.replaceChildren(...chosen.slice(0, shown).map((row) => {
      const line = document.createElement("tr");
      columns.forEach((column, index) => {
        const cell = line.insertCell(), value = row[index];
        cell.textContent = text(value, column);
        if (!index) { cell.className = "name"; cell.title = row[0]; }
        if (column.signed && value) cell.className = value > 0 ? "up" : "down";
      });
      return line;
    }));
    count.textContent = `${Math.min(shown, chosen.length)} of ${chosen.length} shown`;
    more.hidden = shown >= chosen.length;
  }
  tools.append(filter, count);
  scroll.append(table);
  place.append(tools, scroll, more);
  draw();
  return { find: (name) => { filter.value = name; filter.oninput(); place.scrollIntoView({ behavior: "smooth" }); } };
}
