"""A sheet as Markdown, LaTeX, HTML and for a terminal."""

from __future__ import annotations

import unicodedata
from importlib.resources import files

from .sheet import Sheet


def markdown(sheet: Sheet) -> str:
    """A GitHub table with its footnotes as a list; group headings stand before the columns' own."""
    heads = [markdown_text(f"{column.group} {column.label}".strip()) for column in sheet.columns]
    banner = [f"**{markdown_text(sheet.banner)}**", ""] if sheet.banner else []
    lines = [*banner, "| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    marks = {1: "**{}**", 2: "<u>{}</u>"}
    for label, cells in sheet.rows:
        shown = [marks.get(cell.place, "{}").format(markdown_text(cell.text)) for cell in cells]
        lines.append(f"| {markdown_text(label)} | " + " | ".join(shown) + " |")
    notes = "\n".join(f"- {markdown_text(note)}" for note in sheet.notes)
    return "\n".join(lines) + f"\n\n{notes}\n"


def latex(sheet: Sheet) -> str:
    """A floating booktabs table with its footnotes below; wide ones shrink to the line's width."""
    marks = {1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}
    body = [r"\begin{tabular}{l" + "r" * len(sheet.columns) + "}", r"\toprule"]
    if sheet.groups:
        spans = [rf"\multicolumn{{{width}}}{{c}}{{{tex_text(group)}}}" for group, width in sheet.groups]
        body.append(" & ".join(["", *spans]) + r" \\")
        first = 2
        for group, width in sheet.groups:
            body.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}" if group else "")
            first += width
    body.append(" & ".join(["", *(tex_text(column.label) for column in sheet.columns)]) + r" \\")
    for section in sheet.sections:
        body.append(r"\midrule")
        for label, cells in section:
            shown = [marks.get(cell.place, "{}").format(tex_text(cell.text)) for cell in cells]
            body.append(" & ".join([tex_text(label), *shown]) + r" \\")
    body += [r"\bottomrule", r"\end{tabular}"]
    banner = rf"\textbf{{{tex_text(sheet.banner)}}} " if sheet.banner else ""
    caption = rf"\caption{{{banner}{tex_text(sheet.caption)}}}"
    lines = [
        r"% needs \usepackage{booktabs,graphicx}",
        r"\begin{table}",
        r"\centering",
        caption,
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        *(line for line in body if line),
        "}",
        r"\par\smallskip",
        r"\begin{minipage}{\linewidth}\footnotesize",
        *(rf"{tex_text(note)}\par" for note in sheet.notes),
        r"\end{minipage}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def html(sheet: Sheet) -> str:
    """A page without script or anything to fetch; intervals stand below their values, hints under the pointer."""
    from jinja2 import Environment

    template = (files("erasebench.report") / "templates" / "table.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template).render(sheet=sheet)


def markdown_text(text: str) -> str:
    """Text that a Markdown table's cell shows as it is."""
    return text.replace("\\", r"\\").replace("|", r"\|").replace("<", "&lt;").replace("\n", " ")


TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "—": "--",
    "–": "--",
    "−": "$-$",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "²": "$^2$",
    "Δ": r"$\Delta$",
    "λ": r"$\lambda$",
    "γ": r"$\gamma$",
    "η": r"$\eta$",
    "ε": r"$\varepsilon$",
    "ρ": r"$\rho$",
    "θ": r"$\theta$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "δ": r"$\delta$",
    "μ": r"$\mu$",
    "σ": r"$\sigma$",
    "∅": r"$\emptyset$",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "\n": " ",
}


def tex_text(text: str) -> str:
    """Text that pdflatex sets as it is; letters that it does not know lose their accents or become "?"."""
    return "".join(TEX.get(letter) or _plain(letter) for letter in text)


def _plain(letter: str) -> str:
    if ord(letter) < 0x17F and letter.isprintable():  # Latin letters, which pdflatex knows
        return letter
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return "".join(TEX.get(part, part) for part in plain) or "?"
