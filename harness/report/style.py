"""How figures look: sizes, and for each method a colour, marker and line that the colour-blind can tell."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.lines import Line2D
from PIL import Image

from harness.files import write_aside
from harness.report.panels import natural

# Okabe & Ito's palette without its yellow, which is too pale for lines and text on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "D", "^", "v", "<", ">")
LINES = ("-", "--", "-.", ":")
INK, GREY, GRID, BAND = "#222222", "#666666", "#dddddd", "#eef3f8"
DPI = 144
MOST_POINTS = 5_000
"""Of lines and marks that an SVG has one by one: up to 700 kB with a mark each."""

SETTINGS: Mapping[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 12,
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": 13,
    "axes.titlesize": 14,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "text.color": INK,
    "figure.facecolor": "white",
    "svg.fonttype": "path",  # looks alike whatever fonts the reader has
    "svg.hashsalt": "harness",  # else names inside are random
}


@dataclass(frozen=True, kw_only=True)
class Style:
    """One method's looks, the same in every figure of a report."""

    colour: str
    marker: str
    line: str


def styles(methods: Iterable[str], labels: Iterable[str] = ()) -> dict[str, Style]:
    """A style for each method, in alphabetical order, then for each of `labels` that is not a method."""
    names = sorted(set(methods), key=natural)
    names += sorted(set(labels) - set(names), key=natural)
    found = {}
    for index, name in enumerate(names):
        turn, place = divmod(index, len(COLOURS))
        marker = MARKERS[(place + 3 * turn) % len(MARKERS)]
        found[name] = Style(colour=COLOURS[place], marker=marker, line=LINES[turn % len(LINES)])
    return found


@cache
def _prefer_own_fonts() -> None:
    """Let the fonts that come with matplotlib go before the system's of the same name, whose outlines may be others."""
    for name in ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"):
        fontManager.addfont(Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf")
        fontManager.ttflist.insert(0, fontManager.ttflist.pop())  # of equals the first is taken


@contextmanager
def figure_of(width: float, height: float, *, constrained: bool = True) -> Iterator[Figure]:
    """A figure of `width` by `height` inches, drawn with this module's settings whatever the user's are.

    constrained: whether matplotlib lays it out; else all that is drawn says where it stands.
    """
    _prefer_own_fonts()
    with mpl.rc_context():
        mpl.rcParams.update({**mpl.rcParamsDefault, "backend": "agg"})
        mpl.rcParams.update(SETTINGS)
        figure = Figure(figsize=(width, height), layout="constrained" if constrained else None)
        if constrained:
            figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[union-attr, call-arg]
        FigureCanvasAgg(figure)
        yield figure


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path` as PNG of 256 colours, a third of the size, and beside it as SVG.

    The same figure gives the same bytes. Raises WorkspaceError.
    """
    figure.set_dpi(DPI)
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)  # `figure_of` gave it one
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    image = Image.fromarray(drawn[..., :3])
    few = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    write_aside(path, lambda aside: few.save(aside, format="PNG", dpi=(DPI, DPI)))
    _save_vectors(figure, path.with_suffix(".svg"))


def _save_vectors(figure: Figure, path: Path) -> None:
    """Write `figure`, which has been drawn, as SVG; crowds of points are a picture inside."""
    figure.set_layout_engine("none")  # all is in its place, and finding it takes as long as drawing
    _rasterize(figure)
    canvas = FigureCanvasSVG(figure)
    metadata = {"Date": None, "Creator": None}  # neither the day nor matplotlib's version
    write_aside(path, lambda aside: canvas.print_svg(str(aside), metadata=metadata))  # type: ignore[no-untyped-call]


def _rasterize(figure: Figure) -> None:
    """Make pixels of the largest artists until no more than MOST_POINTS are left to be written one by one."""
    sizes = [(_points(artist), artist) for artist in figure.findobj(_has_points)]
    left = sum(size for size, _ in sizes)
    for size, artist in sorted(sizes, key=lambda pair: -pair[0]):
        if left <= MOST_POINTS:
            return
        artist.set_rasterized(True)
        left -= size


def _has_points(artist: Artist) -> bool:
    return isinstance(artist, Line2D | Collection)


def _points(artist: Artist) -> int:
    """How many points an artist of `_has_points` writes."""
    if isinstance(artist, Line2D):
        return len(np.asarray(artist.get_xdata()))
    assert isinstance(artist, Collection)
    of_paths = sum(np.shape(path.vertices)[0] for path in artist.get_paths())
    return max(int(of_paths), int(np.shape(artist.get_offsets())[0]))


def grid(axes: Axes, which: str) -> None:
    """Pale lines behind the data, along `x`, `y` or `both`."""
    axes.set_axisbelow(True)
    axes.grid(True, axis=which, color=GRID, linewidth=1)  # type: ignore[arg-type]
