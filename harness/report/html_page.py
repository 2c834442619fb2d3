"""Any report.html: one file that opens from disk without a network, from a template and what it shows.

`page_layout.html.j2` is the frame of every page, `page_parts.html.j2` has the tables, sections and plots that they are
made of; a page's own template says what is where.
"""

import base64
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup as Safe

from harness.report.blocks import Figure
from harness.report.markdown import NUMBER, Markup, without_backslashes
from harness.report.plot_library import plot_library

HERE = Path(__file__).parent


def render_html(
    template: str,
    folder: Path,
    *,
    title: str,
    figures: Iterable[Figure],
    plotted: bool,
    places: Sequence[Path] = (),
    **content: Any,
) -> str:
    """The page. The same in, the same out.

    folder: where the report's `figures` lie, which become part of the page. plotted: whether it has interactive plots.
    places: where else templates lie. content: what the template shows; all of it is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader([HERE, *places]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}"
    environment.filters["cell"] = _cell
    environment.filters["is_number"] = lambda text: re.fullmatch(NUMBER, text.strip("*† ")) is not None
    environment.filters["json"] = _json
    return environment.get_template(template).render(
        title=title,
        pictures={figure.path: _picture(folder / figure.path) for figure in figures},
        css=Safe((HERE / "page.css").read_text(encoding="utf-8")),
        script=Safe((HERE / "page.js").read_text(encoding="utf-8")),
        plotted=plotted,
        library=Safe(_library()) if plotted else "",
        **content,
    )


def _cell(text: str) -> str:
    """A table's cell: plain text to be escaped, or Markdown that is escaped already, of which only bold is used."""
    if not isinstance(text, Markup):
        return text
    strong = re.sub(r"\*\*(.*?)\*\*", r"<strong>\1</strong>", without_backslashes(text))
    return Safe(strong)


def _json(value: Any) -> Safe:
    """Data inside a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Safe(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _picture(path: Path) -> str:
    """A picture as a data URI, as WebP without loss, about half of the PNG."""
    import io

    from PIL import Image

    with Image.open(path) as image, io.BytesIO() as buffer:
        image.convert("RGB").save(buffer, format="WEBP", lossless=True, method=4)
        content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/webp;base64,{content}"


def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, in which nothing can end the element that it is in."""
    return re.sub(r"</(?=script)", r"<\\/", plot_library(), flags=re.IGNORECASE)
