"""Digests of the code of plugins that come from elsewhere, against ones made here by hand."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments import write_tiny
from foreign_plugin import install
from harness import plugins
from harness.config import load_experiment
from harness.plan import plan
from harness.plugin_code import UNREADABLE, code_digest, plugin_digests

METHOD = "method head_only"


@pytest.fixture
def visible(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes folders of packages visible; nothing is remembered of what was so before and after."""

    def forget() -> None:
        for cached in (plugins._entries, plugins._rivals, code_digest):
            cached.cache_clear()
        for name in [name for name in sys.modules if name.startswith("harness_head_only")]:
            del sys.modules[name]

    def make(*folders: Path) -> None:
        monkeypatch.setattr(sys, "path", [*sys.path, *map(str, folders)])
        forget()

    yield make
    monkeypatch.undo()
    forget()


def by_hand(*files: tuple[str, Path]) -> str:
    lines = [f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n" for name, path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


# NIL on a network that the foreign method has trained.
TRAINER = {"plugin": "head_only", "params": {"inner_lr": 0.1}}
NIL = {"method": {"plugin": "nil", "params": {"trainer": TRAINER}}, "trainer": TRAINER}


def test_plugins_that_come_along_have_no_digest(tmp_path: Path) -> None:
    experiment, _ = load_experiment(write_tiny(tmp_path))
    runs = plan(experiment, data_dir=None, cache=tmp_path / "cache").runs
    assert plugin_digests(run.to_json() for run in runs) == {}


@pytest.mark.parametrize("in_place", [False, True])
def test_a_foreign_plugin_has_that_of_its_packages_code(
    tmp_path: Path, visible: Callable[..., None], in_place: bool
) -> None:
    site, module = install(tmp_path, in_place=in_place)
    visible(site, *([module.parent.parent] if in_place else []))
    expected = by_hand(
        ("harness_head_only/__init__.py", module.parent / "__init__.py"),
        ("harness_head_only/head_only.py", module),
    )
    assert plugin_digests([NIL]) == {METHOD: expected}
    for no_code in ("note.txt", ".draft.py", "__pycache__/head_only.pyc"):
        (module.parent / no_code).parent.mkdir(exist_ok=True)
        (module.parent / no_code).write_text("x = 1\n")
    code_digest.cache_clear()
    assert plugin_digests([NIL]) == {METHOD: expected}
    module.write_text(module.read_text() + "# changed\n")
    code_digest.cache_clear()
    assert plugin_digests([NIL]) != {METHOD: expected}


def test_a_module_in_no_package_is_taken_alone(tmp_path: Path, visible: Callable[..., None]) -> None:
    site, module = install(tmp_path, in_place=True)
    alone = tmp_path / "alone" / "harness_head_only_alone.py"
    alone.parent.mkdir()
    alone.write_text(module.read_text())
    (alone.parent / "other.py").write_text("x = 1\n")
    entry_points = site / "harness_head_only-0.1.dist-info" / "entry_points.txt"
    entry_points.write_text("[harness.methods]\nhead_only = harness_head_only_alone:HeadOnly\n")
    visible(site, alone.parent)
    assert plugin_digests([NIL]) == {METHOD: by_hand((alone.name, alone))}


def test_code_that_cannot_be_found_stops_nothing(tmp_path: Path, visible: Callable[..., None]) -> None:
    site, _ = install(tmp_path, in_place=True)
    visible(site)
    assert code_digest(plugins.METHODS, "head_only") == UNREADABLE


def test_sources_probes_and_what_control_tasks_use_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "comes_along", lambda _, name: name == "ours")
    monkeypatch.setattr("harness.plugin_code.code_digest", lambda *_: "0" * 64)

    def made(name: str, **params: object) -> dict[str, object]:
        return {"plugin": name, "params": params}

    source = {"name": "shifted", "component": made("ours", origin=made("theirs"))}
    images = {
        "method": made("ours", network=3, parts=[made("part")]),
        "network": made("net"),
        "train": {"sources": [source], "validation_sources": []},
        "evaluations": [{"source": {"component": made("tested")}}],
        "probes": [made("look")],
    }
    assert set(plugin_digests([images])) == {
        *("method part", "network net", "source theirs", "source tested", "probe look"),
    }
    control = {
        "kind": "control",
        "method": made("policy"),
        "network": made("ours"),
        "train": {"source": {"component": made("body")}, "outer": made("trust_region")},
        "evaluations": [],
    }
    assert set(plugin_digests([control])) == {"method of policies policy", "control source body"}
