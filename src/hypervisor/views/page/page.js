"use strict";
(() => {
  const root = document.documentElement;
  const make = (name, parent, text, attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent.append(made);
    return made;
  };

  // Light and dark. A file may have no storage: then the choice lasts as long as the page.
  const stored = (value) => {
    try {
      if (value) localStorage.setItem("hypervisor-theme", value);
      return localStorage.getItem("hypervisor-theme");
    } catch {
      return null;
    }
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const theme = make("button", document.querySelector("header"), "", { class: "theme", type: "button" });
  const name = () => (theme.textContent = dark() ? "Light" : "Dark");
  const before = stored();
  if (before === "light" || before === "dark") root.dataset.theme = before;
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    stored(root.dataset.theme);
    name();
  });
  system.addEventListener("change", name);
  name();

  // A command is copied; where the browser forbids that, it is selected for the reader to copy.
  const select = (code) => {
    getSelection().selectAllChildren(code);
    return document.execCommand("copy");
  };
  for (const code of document.querySelectorAll(".steps code")) {
    const copy = make("button", code.parentElement, "Copy", { type: "button", "aria-live": "polite" });
    copy.addEventListener("click", async () => {
      let copied = true;
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        copied = select(code);
      }
      copy.textContent = copied ? "Copied" : "Selected";
      setTimeout(() => (copy.textContent = "Copy"), 2000);
    });
  }

  const table = document.getElementById("list");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({
    row,
    outcome: row.cells[2].textContent.trim(),
    text: row.textContent.toLowerCase(),
  }));

  // Filter: by outcome and by text, both at once.
  const controls = document.getElementById("controls");
  const find = make("input", controls, "", {
    type: "search", placeholder: "Filter by text", "aria-label": "Filter the items by text",
  });
  const group = make("div", controls, "", { role: "group", "aria-label": "Filter the items by outcome" });
  const count = make("p", controls, "", { role: "status", class: "small" });
  const open = make("button", controls, "Open all", { type: "button" });
  let chosen = "";
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { row, outcome, text } of rows) {
      row.hidden = (chosen && outcome !== chosen) || !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} shown`;
    for (const button of group.children)
      button.setAttribute("aria-pressed", button.value === chosen);
  };
  const outcomes = new Map();
  for (const { outcome } of rows) outcomes.set(outcome, (outcomes.get(outcome) || 0) + 1);
  const choices = outcomes.size > 1 ? [["", rows.length], ...outcomes] : [];
  for (const [outcome, number] of choices) {
    const button = make("button", group, `${outcome || "all"} ${number}`, { type: "button", value: outcome });
    button.addEventListener("click", () => {
      chosen = outcome;
      filter();
    });
  }
  find.addEventListener("input", filter);
  open.addEventListener("click", () => {
    const opening = open.textContent === "Open all";
    for (const { row } of rows)
      if (!opening || !row.hidden)
        for (const details of row.getElementsByTagName("details")) details.open = opening;
    open.textContent = opening ? "Close all" : "Open all";
  });
  controls.hidden = false;
  filter();

  // Sort: what has no value stays at the end, either way. Figures are read as they are shown.
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  const units = { ms: 0.001, s: 1, min: 60, h: 3600, d: 86400 };
  const value = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    if (column === 1) return cell.querySelector("summary, p").firstChild.data;
    const text = cell.textContent.trim();
    if (text === "–") return null;
    if (/^[\d,]+$/.test(text)) return Number(text.replaceAll(",", ""));
    if (/^\d\d:\d\d:\d\d$/.test(text)) return text.split(":").reduce((sum, part) => 60 * sum + +part, 0);
    const spans = [...text.matchAll(/([\d.]+) (ms|s|min|h|d)(?= |$)/g)];
    if (spans.length && column > 3) return spans.reduce((sum, [, n, unit]) => sum + n * units[unit], 0);
    return text;
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = make("button", head, head.textContent, { type: "button" });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = rows.map(({ row }, place) => ({ row, place, key: value(row, column) }));
      keyed.sort((a, b) => {
        if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
        const order = typeof a.key === "number" ? a.key - b.key : compare(a.key, b.key);
        return (down ? -order : order) || a.place - b.place;
      });
      body.append(...keyed.map(({ row }) => row));
    });
  });

  // A link to an item opens it, whatever the filter hides.
  const follow = () => {
    const row = /^#i\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
    if (!row) return;
    if (row.hidden) {
      chosen = find.value = "";
      filter();
    }
    for (const details of row.getElementsByTagName("details")) details.open = true;
    row.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", follow);
  follow();
})();
