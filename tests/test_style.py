"""How figures look, whatever fonts a machine has."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.font_manager import fontManager

from harness.report import style


@pytest.fixture
def another_dejavu(tmp_path: Path) -> Iterator[Path]:
    """A font of the system's of the same name, which matplotlib met first."""
    found, path = list(fontManager.ttflist), tmp_path / "DejaVuSans.ttf"
    style._prefer_own_fonts.cache_clear()
    path.write_bytes((Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf").read_bytes())
    fontManager.addfont(path)
    fontManager.ttflist.insert(0, fontManager.ttflist.pop())
    yield path
    fontManager.ttflist[:] = found
    style._prefer_own_fonts.cache_clear()


def test_the_font_is_the_one_that_comes_with_matplotlib(another_dejavu: Path) -> None:
    assert fontManager.findfont("DejaVu Sans", rebuild_if_missing=False) == str(another_dejavu)
    with style.figure_of(2, 2):
        assert Path(fontManager.findfont("DejaVu Sans")).is_relative_to(mpl.get_data_path())
