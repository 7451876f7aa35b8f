const [BINS, BAR, MARKED] = [80, 4, 20]; // of a histogram: bins, pixels of one, words that are marked

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
