"""The script that draws the plots of report.html: Vega, Vega-Lite and Vega-Embed as one.

vl-convert takes over a second to put it together, the same one every time, so it is kept in the cache folder.
"""

import hashlib
import os
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

from harness.cli_options import cache_folder
from harness.errors import WorkspaceError
from harness.files import make_folder, write_aside


@cache
def plot_library() -> str:
    """The script, as the installed vl-convert makes it; made anew where the cache has none, or a damaged one.

    The cache is `$HARNESS_CACHE` or the user's cache folder; one that cannot be written does not matter.
    """
    named = os.environ.get("HARNESS_CACHE")
    path = cache_folder(Path(named) if named else None) / "page" / f"vega-{version('vl-convert-python')}.js"
    known = _kept(path)
    if known is not None:
        return known.decode("utf-8")
    made = _bundle()
    content = made.encode("utf-8")
    with suppress(WorkspaceError):
        make_folder(path.parent)
        write_aside(path, lambda aside: aside.write_bytes(_heading(content) + content))
    return made


def _kept(path: Path) -> bytes | None:
    """What was written to `path`; None where it is not there, or not whole."""
    try:
        heading, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if heading + b"\n" == _heading(content) else None


def _heading(content: bytes) -> bytes:
    return f"// sha256 {hashlib.sha256(content).hexdigest()}\n".encode("ascii")


def _bundle() -> str:
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return bundle
