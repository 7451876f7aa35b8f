"use strict";
// One page, one script, no network: everything shown is text (textContent) or a picture.
(() => {
  const CHUNK = 40; // prompts that are added at a time
  const [BINS, BAR, MARKED] = [80, 4, 20]; // of a histogram: bins, pixels of one, words that are marked
  const FIELDS = ["set", "training", "sort", "find", "leaked", "word", "against", "more"]; // of a run, in this order: a set has its own trainings
  const make = (tag, text, name) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (name) node.className = name;
    return node;
  };
  const shown = (value, digits) => (value === null || value === undefined ? "—" : value.toFixed(digits).replace("-", "−"));

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

  class Pictures {
    constructor(root, data, viewer) {
      Object.assign(this, { root, sets: data.sets, side: data.side, viewer });
      this.place = root.querySelector(".prompts");
      this.place.classList.toggle("pixelated", data.pixelated);
      root.querySelector(".picture-tools").hidden = false;
      for (const [name, act] of [["set", () => this.choose()], ["training", () => this.list()], ["sort", () => this.list()], ["leaked", () => this.list()], ["blur", () => this.veil()]])
        root.querySelector(`.${name}`).addEventListener("change", act);
      root.querySelector(".find").addEventListener("input", () => this.list());
      this.next = root.querySelector(".next");
      this.next.addEventListener("click", () => this.more());
      this.watch = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) this.more(); }, { rootMargin: "600px" });
      this.choose();
    }

    choose() {
      this.set = this.sets[this.root.querySelector(".set").value];
      const trainings = [...new Set(this.set.rows.map((row) => row.training).filter((seed) => seed !== null))];
      const select = this.root.querySelector(".training");
      select.replaceChildren(...trainings.map((seed) => new Option(`seed ${seed}`, seed)));
      select.parentNode.hidden = trainings.length < 2;
      const leak = this.set.metrics.find((metric) => metric.is_leak);
      const options = [new Option("prompt order", "")];
      for (const metric of this.set.metrics) options.push(new Option(metric.is_leak ? `leaked in most rows (${metric.label})` : metric.is_change ? `most changed (${metric.label})` : `worst ${metric.label}`, metric.key));
      this.root.querySelector(".sort").replaceChildren(...options);
      this.root.querySelector(".leaks").hidden = !leak;
      this.root.querySelector(".leaked").checked = false;
      this.root.querySelector(".blur").checked = this.set.blurred;
      this.veil();
      this.list();
    }

    veil() {
      this.place.classList.toggle("veiled", this.root.querySelector(".blur").checked);
      this.cleared = new Set();
      for (const button of this.place.querySelectorAll(".row button")) this.mark(button);
    }

    rows() {
      const training = this.root.querySelector(".training").value;
      return this.set.rows.filter((row) => row.training === null || row.training === training);
    }

    name(row, number) { return `${this.set.role}/${row.key}/${row.training}/${number}`; }

    get hasVeil() { return this.place.classList.contains("veiled"); }

    isVeiled(row, number) { return this.hasVeil && !this.cleared.has(this.name(row, number)); }

    // Show or hide one image, wherever it is seen.
    lift(row, number, isShown) {
      const name = this.name(row, number);
      if (isShown) this.cleared.add(name);
      else this.cleared.delete(name);
      for (const button of this.place.querySelectorAll(".row button")) if (button.dataset.name === name) this.mark(button);
    }

    mark(button) {
      const isClear = this.cleared.has(button.dataset.name);
      button.classList.toggle("clear", isClear);
      button.setAttribute("aria-label", `${button.dataset.label}${this.hasVeil && !isClear ? ", blurred until it is clicked" : ""}`);
    }

    leaks(row, number) {
      return row.key !== "original" && this.set.metrics.some((metric) => metric.is_leak && row.values[metric.key][number] === 1);
    }

    list() {
      const { set } = this;
      const rows = this.rows();
      const wanted = this.root.querySelector(".find").value.toLowerCase();
      const leaked = this.root.querySelector(".leaked").checked;
      this.order = set.prompts.map((_, k) => k).filter((k) => (set.prompts[k].text.toLowerCase().includes(wanted) || set.prompts[k].id.toLowerCase().includes(wanted)) && (!leaked || rows.some((row) => this.leaks(row, k))));
      const metric = set.metrics.find((one) => one.key === this.root.querySelector(".sort").value);
      if (metric) {
        const sign = metric.better === "lower" ? 1 : -1;
        const bad = (k) => {
          const values = rows.filter((row) => row.key !== "original").map((row) => row.values[metric.key][k]).filter((value) => value !== null);
          if (!values.length) return -Infinity;
          return metric.is_leak ? values.reduce((sum, value) => sum + value, 0) : Math.max(...values.map((value) => sign * value));
        };
        const badness = new Map(this.order.map((k) => [k, bad(k)]));
        this.order.sort((a, b) => (badness.get(b) > badness.get(a)) - (badness.get(b) < badness.get(a)) || a - b);
      }
      const part = set.rest ? ` of the ${set.size} drawn: half of them tell most, half are chosen by hash; ${set.rest}` : "";
      this.root.querySelector(".shown").textContent = `${this.order.length} of ${set.prompts.length} prompts${part}. The same noise in every row; a red frame: the concept is still there.`;
      this.place.replaceChildren();
      this.count = 0;
      this.more();
    }

    more() {
      const rows = this.rows();
      for (const number of this.order.slice(this.count, this.count + CHUNK)) this.place.append(this.article(number, rows));
      this.count = Math.min(this.count + CHUNK, this.order.length);
      this.next.hidden = this.count >= this.order.length;
      this.watch.unobserve(this.next); // and again, so that one still in view is told of again
      this.watch.observe(this.next);
    }

    article(number, rows) {
      const prompt = this.set.prompts[number];
      const article = make("article", undefined, "prompt");
      const head = make("h4", `${prompt.text || "(no words)"} `);
      head.append(make("small", `${prompt.id} · noise ${prompt.seed}`));
      const line = make("div", undefined, "row");
      for (const row of rows) line.append(this.figure(row, number));
      article.append(head, line);
      return article;
    }

    figure(row, number) {
      const figure = make("figure");
      const source = this.source(row, number);
      if (source) {
        const button = make("button");
        button.type = "button";
        Object.assign(button.dataset, { name: this.name(row, number), label: `${row.label}: ${this.set.prompts[number].text}` });
        button.classList.toggle("leak", this.leaks(row, number));
        this.mark(button);
        const image = make("img");
        Object.assign(image, { src: source, alt: "", loading: "lazy", decoding: "async" });
        button.append(image);
        button.addEventListener("click", () => {
          if (this.isVeiled(row, number)) this.lift(row, number, true);
          else this.viewer.open(this, row.key, number);
        });
        figure.append(button);
      } else figure.append(make("div", "no image", "none"));
      const caption = make("figcaption");
      caption.append(make("b", row.label));
      for (const text of this.facts(row, number)) caption.append(make("span", text));
      if (this.leaks(row, number)) caption.append(make("span", "concept is there", "bad"));
      figure.append(caption);
      return figure;
    }

    facts(row, number) {
      return this.set.metrics.filter((metric) => row.values[metric.key][number] !== null).map((metric) => `${metric.label} ${shown(row.values[metric.key][number], metric.is_leak ? 0 : metric.digits)}`);
    }

    source(row, number) {
      const image = row.images[number];
      if (!image) return null;
      return row.folder === null ? `data:image/webp;base64,${image}` : row.folder + this.set.prompts[number].file + this.set.suffix;
    }

    // The run's own file, where the page has it near.
    full(row, number) {
      return row.images[number] && row.full !== null ? `${row.full}${this.set.prompts[number].file}.png` : null;
    }

    // What is seen of an image, and where all of it is.
    size(row, number, image, isFull) {
      const [side, file] = [Math.max(image.naturalWidth, image.naturalHeight), `${row.place}${this.set.prompts[number].file}.png`];
      if (isFull) return `full size, ${image.naturalWidth} × ${image.naturalHeight} px: ${file}`;
      return `${side} px copy; ${side < this.side ? "the file" : "full size"} in the run’s folder: ${file}`;
    }
  }

  class Viewer {
    constructor(dialog) {
      this.dialog = dialog;
      dialog.querySelector(".close").addEventListener("click", () => dialog.close());
      for (const button of dialog.querySelectorAll("[data-step]")) button.addEventListener("click", () => this.step(...button.dataset.step.split(",").map(Number)));
      document.addEventListener("keydown", (event) => { // of the whole page: a click beside a button takes the focus from the dialog
        if (!dialog.open) return;
        const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (!step) return;
        event.preventDefault();
        this.step(...step);
      });
    }

    open(pictures, key, number) {
      this.pictures = pictures;
      this.rows = pictures.rows();
      this.row = this.rows.findIndex((row) => row.key === key);
      this.prompt = pictures.order.indexOf(number);
      this.draw();
      if (!this.dialog.open) this.dialog.showModal();
    }

    step(rows, prompts) {
      this.row = (this.row + rows + this.rows.length) % this.rows.length;
      this.prompt = Math.min(Math.max(this.prompt + prompts, 0), this.pictures.order.length - 1);
      this.draw();
    }

    draw() {
      const { pictures } = this;
      const number = pictures.order[this.prompt];
      const row = this.rows[this.row];
      const original = this.rows.find((one) => one.key === "original");
      this.dialog.querySelector("h2").textContent = pictures.set.prompts[number].text || "(no words)";
      for (const [name, one] of [["large", row], ["beside", original]]) this.fill(this.dialog.querySelector(`.${name}`), one, number, name === "beside" && (!one || one === row));
      this.dialog.classList.toggle("pixelated", pictures.place.classList.contains("pixelated"));
      this.dialog.querySelector(".facts").textContent = `${row.training === null ? "" : `training seed ${row.training} · `}${pictures.facts(row, number).join(" · ")}${pictures.leaks(row, number) ? " · the concept is there" : ""}`;
      if (!this.dialog.contains(document.activeElement) || !document.activeElement.checkVisibility()) this.dialog.querySelector(".close").focus();
    }

    fill(image, row, number, isHidden) {
      const { pictures } = this;
      const [figure, size, button] = [image.parentNode, image.parentNode.querySelector(".size"), image.parentNode.querySelector(".lift")];
      figure.hidden = isHidden;
      figure.querySelector("figcaption").textContent = row ? row.label : "";
      size.textContent = "";
      const copy = row && pictures.source(row, number);
      button.hidden = !copy || !pictures.hasVeil;
      Object.assign(image, { onload: null, onerror: null, onclick: null, alt: copy ? `${row.label}: ${pictures.set.prompts[number].text}` : "no image" });
      if (!copy) {
        image.removeAttribute("src");
        image.classList.remove("veil");
        return;
      }
      const full = pictures.full(row, number);
      let isFull = full !== null;
      image.onload = () => { size.textContent = pictures.size(row, number, image, isFull); };
      image.onerror = () => { if (isFull) { isFull = false; image.src = copy; } }; // the page was sent without the run
      image.src = full || copy;
      const veil = () => {
        const isVeiled = pictures.isVeiled(row, number);
        image.classList.toggle("veil", isVeiled);
        button.textContent = isVeiled ? "Show" : "Hide";
        button.setAttribute("aria-label", `${button.textContent} the image of ${row.label}`);
      };
      const lift = () => { pictures.lift(row, number, pictures.isVeiled(row, number)); veil(); };
      button.onclick = lift;
      image.onclick = () => { if (pictures.isVeiled(row, number)) lift(); };
      veil();
    }
  }

  const draw = (tag, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };

  // How many words moved how much, by method, with marks at the words that are spoken of; heights are square roots.
  class Histogram {
    constructor(place, data) {
      this.place = place;
      const all = data.methods.flatMap((method) => method.scores.filter((score) => score !== null));
      [this.low, this.high] = all.reduce(([low, high], score) => [Math.min(low, score), Math.max(high, score)], [0, 0]);
      if (this.low === this.high) this.high += 1;
      this.bins = data.methods.map((method) => {
        const bins = new Array(BINS).fill(0);
        for (const score of method.scores) if (score !== null) bins[Math.min(BINS - 1, Math.floor((BINS * (score - this.low)) / (this.high - this.low)))] += 1;
        return bins;
      });
    }

    across(score) { return ((BAR * BINS * (score - this.low)) / (this.high - this.low)).toFixed(1); }

    draw(methods, marks) {
      this.place.replaceChildren(...methods.map((method, k) => {
        const most = Math.sqrt(Math.max(1, ...this.bins[k]));
        const svg = draw("svg", { viewBox: `-4 -14 ${BAR * BINS + 8} 78`, role: "img" });
        const told = marks[k].filter((mark) => mark.score !== null && mark.score !== undefined);
        svg.setAttribute("aria-label", `${method.label}: ${told.map((mark) => `${mark.word} ${mark.score.toPrecision(3)}`).join(", ") || "no word is marked"}`);
        this.bins[k].forEach((count, bin) => { if (count) { const height = (44 * Math.sqrt(count)) / most; svg.append(draw("rect", { class: "bin", x: BAR * bin, width: BAR - 1, y: 46 - height, height })); } });
        for (const mark of told) {
          const line = draw("line", { class: `mark ${mark.kind}`, x1: this.across(mark.score), x2: this.across(mark.score), y1: 0, y2: 46 });
          line.append(draw("title", {}, `${mark.word}: ${mark.score.toPrecision(3)}`));
          svg.append(line);
        }
        svg.append(draw("text", { x: 0, y: -3 }, method.label), draw("text", { x: 0, y: 60 }, this.low.toPrecision(2)), draw("text", { x: BAR * BINS, y: 60, "text-anchor": "end" }, this.high.toPrecision(2)));
        const figure = make("figure");
        figure.append(svg);
        return figure;
      }));
    }
  }

  class Words {
    constructor(root, data) {
      this.data = data;
      this.part = root.querySelector(".words");
      this.part.hidden = false;
      this.histogram = new Histogram(this.part.querySelector(".histograms"), data);
      this.part.querySelector(".word").addEventListener("input", (event) => this.find(event.target.value.trim().toLowerCase()));
      this.find("");
    }

    find(wanted) {
      const { words, methods } = this.data;
      const table = this.part.querySelector(".word-table");
      const head = make("tr");
      head.append(make("td"), ...methods.map((method) => { const th = make("th", method.label); th.scope = "col"; return th; }));
      const lines = [head];
      const add = (text, cells) => {
        const line = make("tr");
        const th = make("th", text);
        th.scope = "row";
        line.append(th, ...cells.map((cell) => make("td", cell)));
        lines.push(line);
      };
      const told = (rank, score) => (score === null || score === undefined ? "—" : `${score.toPrecision(3)} (rank ${rank.toLocaleString("en")})`);
      if (wanted) {
        const found = words.map((_, k) => k).filter((k) => words[k].toLowerCase().includes(wanted));
        found.sort((a, b) => words[a].length - words[b].length || a - b);
        this.histogram.draw(methods, methods.map((method) => found.slice(0, MARKED).map((k) => ({ word: words[k], score: method.scores[k], kind: "found" }))));
        for (const k of found.slice(0, 50)) add(words[k] || "(empty)", methods.map((method) => told(method.ranks[k], method.scores[k])));
        this.say(`${found.length} words with “${wanted}”${found.length > 50 ? ", the shortest 50 are shown" : ""}. Rank 1 moved most, of ${words.length.toLocaleString("en")}.`);
      } else {
        this.histogram.draw(methods, methods.map((method) => method.named.map((one) => ({ word: `${one.word || "(no words)"} (${one.kind})`, score: one.score, kind: one.kind === "neutral" ? "neutral" : "named" }))));
        for (const one of methods[0].named) add(`${one.word || "(no words)"} · ${one.kind}`, methods.map((method) => { const own = method.named.find((other) => other.word === one.word); return own ? told(own.rank, own.score) : "—"; }));
        this.say(`Named and neutral concepts, placed among ${words.length.toLocaleString("en")} words: rank 1 moved most.`);
      }
      const body = make("tbody");
      body.append(...lines.slice(1));
      const top = make("thead");
      top.append(head);
      table.replaceChildren(top, body);
    }

    say(text) { this.part.querySelector(".words-said").textContent = text; }
  }

  // What is shown stands in the page's address, so that a link shows it again; but never that a blur was lifted.
  class Link {
    constructor(parts, viewer) {
      Object.assign(this, { parts, viewer });
      if (location.hash.includes("=")) this.read(new URLSearchParams(location.hash.slice(1)));
      for (const name of ["change", "input", "click", "keyup"]) document.addEventListener(name, () => this.write());
      if (viewer) viewer.dialog.addEventListener("close", () => this.write());
    }

    read(state) {
      this.parts.forEach(({ root, board, pictures }, k) => {
        for (const name of FIELDS) {
          const [value, control] = [state.get(`${name}${k}`), root.querySelector(`.${name}`)];
          if (value === null || !control) continue;
          if (control.type === "checkbox") control.checked = value === "1";
          else if (control.tagName !== "SELECT" || [...control.options].some((one) => one.value === value)) control.value = value;
          control.dispatchEvent(new Event(control.type === "search" ? "input" : "change"));
        }
        for (const name of ["column", "kind"]) {
          const out = (state.get(`no-${name}${k}`) || "").split(" ");
          for (const box of root.querySelectorAll(`.${name}`)) box.checked = !out.includes(box.value);
        }
        board.filter();
        const [by, order] = (state.get(`by${k}`) || "").split(" ");
        const head = [...board.table.querySelectorAll("thead th[data-column]")].find((one) => one.dataset.column === by);
        for (let turn = 0; head && turn < 2 && head.getAttribute("aria-sort") !== order; turn += 1) board.sort(head);
        const [row, number] = (state.get(`open${k}`) || "").split(" ");
        if (pictures && number !== undefined && pictures.order.includes(Number(number)) && pictures.rows().some((one) => one.key === row)) this.viewer.open(pictures, row, Number(number));
      });
    }

    write() {
      const state = new URLSearchParams();
      this.parts.forEach(({ root, board, pictures }, k) => {
        for (const name of FIELDS) {
          const control = root.querySelector(`.${name}`);
          const value = !control ? "" : control.type === "checkbox" ? (control.checked ? "1" : "") : control.selectedIndex === 0 ? "" : control.value;
          if (value) state.set(`${name}${k}`, value);
        }
        for (const name of ["column", "kind"]) {
          const out = [...root.querySelectorAll(`.${name}`)].filter((box) => !box.checked).map((box) => box.value);
          if (out.length) state.set(`no-${name}${k}`, out.join(" "));
        }
        const head = board.table.querySelector("thead th[aria-sort]");
        if (head) state.set(`by${k}`, `${head.dataset.column} ${head.getAttribute("aria-sort")}`);
        if (pictures && this.viewer.dialog.open && this.viewer.pictures === pictures) state.set(`open${k}`, `${this.viewer.rows[this.viewer.row].key} ${pictures.order[this.viewer.prompt]}`);
      });
      const told = state.toString();
      if (told || location.hash.includes("=")) history.replaceState(null, "", told ? `#${told}` : location.pathname);
    }
  }

  for (const button of document.querySelectorAll(".veiled .drawn")) button.addEventListener("click", () => button.classList.add("clear"));
  const dialog = document.querySelector("dialog");
  const viewer = dialog && new Viewer(dialog);
  const parts = [...document.querySelectorAll(".run")].map((root) => {
    const data = JSON.parse(root.querySelector(".data").textContent);
    const part = { root, board: new Board(root, data) };
    if (data.sets.length) part.pictures = new Pictures(root, data, viewer);
    if (data.words) new Words(root, data.words);
    return part;
  });
  new Link(parts, viewer);
})();
