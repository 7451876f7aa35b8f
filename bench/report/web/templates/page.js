const FIELDS = ["set", "training", "sort", "find", "leaked", "word", "against", "more"]; // of a run, in this order: a set has its own trainings

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
