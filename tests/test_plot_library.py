"""The script that draws the plots of report.html is put together once and kept."""

from pathlib import Path

import pytest

from harness.report import plot_library
from harness.report.plot_library import plot_library as script


def test_the_script_of_the_plots_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(plot_library, "_bundle", lambda: made.append(1) or "let a;\r\n\u2028ä")
    script.cache_clear()
    try:
        found = [script()]
        script.cache_clear()
        found.append(script())
        assert len(made) == 1
        (path,) = (tmp_path / "page").iterdir()
        path.write_bytes(path.read_bytes()[:-1])
        script.cache_clear()
        found.append(script())
        assert len(made) == 2
        monkeypatch.setenv("HARNESS_CACHE", str(path))  # a file: nothing can be kept there
        script.cache_clear()
        found.append(script())
        assert set(found) == {"let a;\r\n\u2028ä"}
    finally:
        script.cache_clear()
