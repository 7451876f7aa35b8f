const CHUNK = 40; // prompts that are added at a time

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
