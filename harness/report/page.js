"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const config = () => {
    const ink = dark.matches ? "#e8e8e8" : "#1c1c1c", line = dark.matches ? "#3d3d3d" : "#dddddd";
    return {
      background: null, font: "system-ui, sans-serif",
      view: { stroke: null },
      axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 13, titleFontSize: 13 },
      legend: { labelColor: ink, labelFontSize: document.body.clientWidth < 500 ? 10 : 13 },
      header: { labelColor: ink, labelFontSize: 13 },
    };
  };
  const draw = () => {
    for (const place of document.querySelectorAll(".plot")) {
      const target = place.querySelector(".target");
      const columns = Math.max(1, Math.min(4, Math.floor(target.clientWidth / 260)));
      const names = target.clientWidth < 500 ? 1 : 3;
      let text = place.querySelector("script").textContent
        .replaceAll('"columns":4', `"columns":${columns}`).replaceAll('"columns":3', `"columns":${names}`);
      if (dark.matches) text = text.replaceAll('"#000000"', '"#e8e8e8"');
      const spec = JSON.parse(text);
      vegaEmbed(target, spec, { config: config(), renderer: "svg", actions: { export: true, source: false, compiled: false, editor: false } });
    }
  };

  const value = (row, column) => {
    const cell = row.cells[column];
    const number = cell.dataset.value;
    return number === undefined ? cell.textContent.trim() : Number(number);
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  const sort = (head) => {
    const table = head.closest("table"), column = head.cellIndex, body = table.tBodies[0];
    const up = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up === 1 ? "ascending" : "descending");
    // What was not measured stays at the end either way.
    const empty = (row) => row.cells[column].classList.contains("nothing");
    const rows = [...body.rows].sort((a, b) =>
      empty(a) - empty(b) || up * compare(value(a, column), value(b, column)));
    body.append(...rows);
  };
  for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => sort(button.parentElement));

  // What is about a value that is not chosen is hidden: data-source="omniglot" is about the source omniglot.
  const boxes = [...document.querySelectorAll("form input[type=checkbox]")];
  const names = [...new Set(boxes.map((box) => box.name))];
  const filter = () => {
    const chosen = new Map(names.map((name) => [name, new Set(boxes.filter((box) => box.name === name && box.checked).map((box) => box.value))]));
    for (const part of document.querySelectorAll(names.map((name) => `[data-${name}]`).join(", "))) {
      part.hidden = names.some((name) => part.dataset[name] !== undefined && !chosen.get(name).has(part.dataset[name]));
    }
  };
  for (const box of boxes) box.addEventListener("change", filter);
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; draw(); } });
  dark.addEventListener("change", draw);
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
  draw();
})();
