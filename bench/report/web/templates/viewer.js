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
