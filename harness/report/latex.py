"""Tables in LaTeX, for papers that load booktabs."""

import html
import re
from collections.abc import Iterable

from harness.report.markdown import Markup, without_backslashes
from harness.report.settings import Table

ESCAPES = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "†": r"$\dagger$",
    "\N{EN DASH}": "--",
}


def latex_document(tables: Iterable[tuple[str, Table]]) -> str:
    """Tables with their captions, one after another; the first column to the left, the others to the right."""
    parts = ["% \\usepackage{booktabs}"]
    for caption, content in tables:
        lines = [" & ".join(map(latex, row)) + r" \\" for row in content.rows]
        parts += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex(caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(content.columns) - 1)}}}",
            r"\toprule",
            " & ".join(map(latex, content.columns)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    return "\n".join(parts)


def latex(text: str) -> str:
    """Plain text, or a table's Markdown, of which only bold is used, in LaTeX."""
    if not isinstance(text, Markup):
        return _escaped(text)
    plain = html.unescape(without_backslashes(text))
    parts = re.split(r"\*\*(.*?)\*\*", plain)
    return "".join(
        rf"\textbf{{{_escaped(part)}}}" if place % 2 else _escaped(part) for place, part in enumerate(parts)
    )


def _escaped(text: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in text)
