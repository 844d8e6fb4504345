"use strict";
for (const box of document.querySelectorAll("[data-search]")) {
  const [kinds, pieces, ids, numbers, places] = JSON.parse(box.querySelector("script").textContent)
    .map((column) => (typeof column === "string" ? (column ? column.split(" ") : []) : column));
  const rows = pieces.map((piece, index) => ({
    piece, id: +ids[index], number: +numbers[index], kind: kinds[+places[index]], length: [...piece].length,
  }));
  const [query, length, kind, order] = box.querySelectorAll("input, select");
  const [told, body, more] = ["output", "tbody", "button"].map((name) => box.querySelector(name));
  const orders = {
    number: (a, b) => b.number - a.number || a.id - b.id,
    rare: (a, b) => a.number - b.number || a.id - b.id,
    long: (a, b) => b.length - a.length || b.number - a.number || a.id - b.id,
    id: (a, b) => a.id - b.id,
  };
  const written = (number) => number.toLocaleString("en");
  let found = [], shown = 0;

  function fill(select, values) {
    select.append(new Option("any", ""), ...values.map((value) => new Option(value, value)));
  }

  function show() {
    for (const row of found.slice(shown, shown + 100)) {
      const line = body.insertRow();
      const head = document.createElement("th");
      head.scope = "row";
      head.lang = "zh";
      head.textContent = row.piece.replaceAll("▁", "␣");
      line.append(head);
      for (const [words, figure] of [
        [written(row.id), true], [row.length, true], [written(row.number), true], [row.kind, false],
      ]) {
        const cell = line.insertCell();
        cell.textContent = words;
        if (figure) cell.className = "figure";
      }
    }
    shown = Math.min(found.length, shown + 100);
    told.textContent = `${written(found.length)} of ${written(rows.length)} pieces, ${written(shown)} shown`;
    more.hidden = shown >= found.length;
  }

  function search() {
    const wanted = query.value.trim().replaceAll(" ", "▁");
    found = rows.filter((row) => (!wanted || row.piece.includes(wanted) || String(row.id) === wanted)
      && (!length.value || row.length === +length.value) && (!kind.value || row.kind === kind.value));
    found.sort(orders[order.value]);
    body.replaceChildren();
    shown = 0;
    show();
  }

  fill(length, [...new Set(rows.map((row) => row.length))].sort((a, b) => a - b));
  fill(kind, kinds);
  for (const input of [query, length, kind, order]) input.addEventListener("input", search);
  more.addEventListener("click", show);
  box.hidden = false;
  search();
}
