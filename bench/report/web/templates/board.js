class Board {
  constructor(root, data) {
    Object.assign(this, { root, data: data.board, tests: data.against });
    this.table = root.querySelector(".board");
    this.said = root.querySelector(".said");
    this.lines = [...this.table.querySelectorAll("tbody tr")];
    root.querySelector(".tools").hidden = false;
    for (const head of this.table.querySelectorAll("thead th")) {
      const button = head.firstElementChild;
      button.disabled = false;
      button.addEventListener("click", () => this.sort(head));
    }
    root.querySelector(".more").addEventListener("change", (event) => this.table.classList.toggle("told", event.target.checked));
    for (const box of root.querySelectorAll(".column, .kind")) box.addEventListener("change", () => this.filter());
    const against = root.querySelector(".against");
    if (!this.tests || !Object.keys(this.tests).length) against.parentNode.hidden = true;
    if (this.tests === null) this.said.textContent = "There were too many images to test rows against each other at once: `bench report RUN` writes a page with these tests, `bench compare` makes them for any run.";
    against.addEventListener("change", () => this.compare(against.value));
    for (const button of root.querySelectorAll("[data-form]")) button.addEventListener("click", () => this.copy(button.dataset.form, button.textContent));
  }

  sort(head) {
    const column = Number(head.dataset.column);
    const better = column < 0 ? "lower" : this.data.columns[column].better;
    const first = better === "lower" ? "ascending" : "descending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    for (const one of this.table.querySelectorAll("thead th")) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const key = (line) => {
      const row = this.data.rows[line.dataset.row];
      return column < 0 ? row.label : row.cells[column].value;
    };
    for (const part of this.table.tBodies) {
      const lines = [...part.rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === null || y === null) return (x === null) - (y === null); // without a value: last
        return sign * (column < 0 ? x.localeCompare(y) : x - y);
      });
      part.append(...lines);
    }
  }

  filter() {
    const columns = this.columns();
    const kinds = [...this.root.querySelectorAll(".kind")].filter((box) => !box.checked).map((box) => box.value);
    for (const head of this.table.querySelectorAll("thead th[data-column]")) if (head.dataset.column >= 0) head.hidden = !columns.includes(Number(head.dataset.column));
    for (const line of this.lines) {
      [...line.cells].slice(1).forEach((cell, k) => { cell.hidden = !columns.includes(k); });
      line.hidden = kinds.includes(line.dataset.kind);
    }
  }

  columns() {
    return [...this.root.querySelectorAll(".column")].filter((box) => box.checked).map((box) => Number(box.value));
  }

  compare(chosen) {
    for (const line of this.lines) {
      const row = this.data.rows[line.dataset.row];
      const found = (chosen && this.tests[chosen] && this.tests[chosen][row.key]) || {};
      [...line.cells].slice(1).forEach((cell, k) => {
        const test = found[this.data.columns[k].key];
        const [verdict, text] = [cell.querySelector(".verdict"), cell.querySelector(".test")];
        verdict.className = `verdict ${test ? test.verdict : ""}`;
        verdict.textContent = test && test.verdict ? (test.verdict === "better" ? " ✓" : " ✗") : "";
        text.textContent = !test ? "" : `${test.difference}${test.interval ? ` (${test.interval})` : ""}${test.p ? `, p ${test.p}` : ""}, n = ${test.n}${test.verdict ? `: ${test.verdict}` : ""}`;
      });
    }
    const label = chosen && this.data.rows.find((row) => row.key === chosen).label;
    this.said.textContent = chosen ? `Differences to ${label}, with 95 % intervals; p by paired tests, adjusted over all rows and columns (Holm). ✓ better, ✗ worse at 5 %.` : "";
  }

  copy(form, name) {
    const columns = this.columns();
    const rows = [...this.table.tBodies].flatMap((part) => [...part.rows]).filter((line) => !line.hidden).map((line) => this.data.rows[line.dataset.row]);
    const text = { latex, markdown, csv }[form](this.data, columns, rows);
    const area = this.root.querySelector(".copied");
    area.hidden = false;
    area.value = text;
    area.select();
    const done = () => { this.said.textContent = `Copied as ${name}.`; };
    const failed = () => { this.said.textContent = `Select and copy the ${name} below.`; };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, failed);
    else failed();
  }
}

function latex(data, columns, rows) {
  const line = (cells) => `${cells.join(" & ")} \\\\`;
  const body = rows.map((row) => line([row.tex, ...columns.map((k) => (row.cells[k].best ? `\\textbf{${row.cells[k].tex}}` : row.cells[k].tex))]));
  return [`% ${data.tex}; needs \\usepackage{booktabs}`, `\\begin{tabular}{l${"r".repeat(columns.length)}}`, "\\toprule", line(["", ...columns.map((k) => data.columns[k].tex)]), "\\midrule", ...body, "\\bottomrule", "\\end{tabular}", ""].join("\n");
}

function markdown(data, columns, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const body = rows.map((row) => line([row.markdown, ...columns.map((k) => (row.cells[k].best ? `**${row.cells[k].text}**` : row.cells[k].text))]));
  return [line(["", ...columns.map((k) => data.columns[k].markdown)]), `|---|${"---:|".repeat(columns.length)}`, ...body, ""].join("\n");
}

function csv(data, columns, rows) {
  const field = (value) => {
    const text = value === null ? "" : String(value);
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // no spreadsheet computes it
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const head = ["row", "label", ...columns.flatMap((k) => ["", "_low", "_high", "_n"].map((end) => data.columns[k].key + end))];
  const body = rows.map((row) => [row.key, row.label, ...columns.flatMap((k) => [row.cells[k].value, row.cells[k].low, row.cells[k].high, row.cells[k].n])]);
  return [head, ...body].map((line) => line.map(field).join(",")).join("\n") + "\n";
}
