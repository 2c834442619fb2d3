import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import plugins
from harness.catalogue import Catalogue, catalogue
from harness.errors import ConfigError, PluginError
from harness.parameters import check_fields
from harness.plugin_listing import _plugins
from harness.spec import canonical
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from harness_methods.nil import NIL


def test_plugins_in_plugins_survive_the_round_trip() -> None:
    method = NIL(name="nil5", trainer=ANIL(inner_steps=3, name="anil3"))
    component = plugins.describe(plugins.METHODS, method)
    assert plugins.build(plugins.METHODS, component) == method


@dataclass(frozen=True, kw_only=True)
class Careless:
    """A plugin of another author, who checks nothing."""

    name: str = "careless"
    rate: float = 1
    clip: float | None = None
    steps: int = None  # type: ignore[assignment]
    exact: bool = False
    widths: tuple[int, ...] = (1, 2)


@dataclass(kw_only=True)
class Loose:
    """One whose values can be changed."""

    name: str = "loose"


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    def plugin_name(group: str, cls: type) -> str | None:
        return "careless" if cls is Careless else None

    monkeypatch.setattr(plugins, "plugin_name", plugin_name)


@pytest.mark.usefixtures("careless")
def test_equal_numbers_give_equal_descriptions_in_any_plugin() -> None:
    whole, broken = (plugins.describe(plugins.METHODS, Careless(rate=rate, clip=rate)) for rate in (2, 2.0))
    assert str(canonical(whole)) == str(canonical(broken))
    assert "2.0" in str(canonical(whole))
    assert plugins.describe(plugins.METHODS, Careless()).params["steps"] is None


@pytest.mark.usefixtures("careless")
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rate": "2"}, "Careless.rate must be a finite number; got '2'"),
        ({"clip": True}, "Careless.clip must be a finite number or None; got True"),
        ({"steps": 1.5}, "Careless.steps must be a whole number; got 1.5"),
        ({"exact": "no"}, "Careless.exact must be True or False; got 'no'"),
        ({"exact": 1}, "Careless.exact must be True or False; got 1"),
        ({"name": None}, "Careless.name must be text; got None"),
    ],
)
def test_a_plugin_that_checks_nothing_is_checked_by_its_types(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plugins.describe(plugins.METHODS, Careless(**values))  # type: ignore[arg-type]


def test_annotations_may_be_types_as_well_as_text() -> None:
    @dataclass(frozen=True)
    class Typed:
        rate: "float | None" = 1
        exact: bool = False

    typed = Typed()
    check_fields(typed)
    assert isinstance(typed.rate, float)
    with pytest.raises(ConfigError, match=r"Typed\.rate must be a finite number or None; got nan"):
        check_fields(Typed(rate=float("nan")))
    with pytest.raises(ConfigError, match=r"Typed\.rate must be a finite number or None; got 1000"):
        check_fields(Typed(rate=10**400))


def test_the_identity_of_a_method_does_not_depend_on_how_a_number_is_written() -> None:
    assert isinstance(MAML(inner_lr=2).inner_lr, float)
    assert isinstance(NIL(trainer=ANIL(test_inner_lr=1)).trainer.test_inner_lr, float)  # type: ignore[attr-defined]
    described = (plugins.describe(plugins.METHODS, MAML(inner_lr=rate)) for rate in (2, 2.0))
    assert len({str(canonical(component)) for component in described}) == 1


@pytest.fixture
def rival(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where another package has a method called `anil`."""
    real = importlib.metadata.entry_points

    def entry_points(group: str) -> list[importlib.metadata.EntryPoint]:
        found = list(real(group=group))
        if group == plugins.METHODS:
            made = importlib.metadata.EntryPoint
            found.append(made(name="anil", value=request.param, group=group))
        return found

    for cached in (plugins._entries, plugins._rivals):
        cached.cache_clear()
    monkeypatch.setattr(plugins, "entry_points", entry_points)
    yield request.param
    for cached in (plugins._entries, plugins._rivals):
        cached.cache_clear()


@pytest.mark.parametrize("rival", ["test_plugins:Careless", "harness_methods.anil:ANIL"], indirect=True)
def test_two_packages_with_one_name_are_both_named_and_stop_nothing_else(rival: str) -> None:
    with pytest.raises(
        PluginError, match=rf"Two packages register the method 'anil': harness .*ANIL.* and .*{rival}"
    ):
        plugins.load(plugins.METHODS, "anil")
    assert plugins.load(plugins.METHODS, "maml") is MAML
    assert "anil" in plugins.names(plugins.METHODS)
    assert "Two packages register the method 'anil'" in catalogue().broken["ANIL"]
    listed = {name: (summary, where) for name, summary, where in _plugins(plugins.METHODS)}
    assert set(listed) == set(plugins.names(plugins.METHODS))
    summary, where = listed["anil"]
    assert summary.startswith("BROKEN: Two packages register the method 'anil'")
    assert where.startswith("harness ")
    assert where.endswith(f" and an unknown package ({rival})")


def test_a_plugin_that_could_change_under_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = importlib.metadata.EntryPoint("loose", "test_plugins:Loose", plugins.METHODS)
    monkeypatch.setattr(plugins, "_entries", lambda group: {"loose": entry})  # noqa: ARG005
    monkeypatch.setattr(plugins, "_rivals", lambda group: {})  # noqa: ARG005
    with pytest.raises(PluginError, match=r"'loose' from an unknown package .* must be a frozen dataclass"):
        plugins.load(plugins.METHODS, "loose")


def test_a_short_name_means_the_class_that_comes_along() -> None:
    theirs = dataclass(frozen=True)(type("ANIL", (), {"__module__": "theirs.anil"}))
    known = Catalogue({"harness_methods.anil.ANIL": ANIL, "theirs.anil.ANIL": theirs}, {})
    assert known.resolve("ANIL") == "harness_methods.anil.ANIL"
    assert known.resolve("theirs.anil.ANIL") == "theirs.anil.ANIL"
    both = Catalogue({"a.ANIL": ANIL, "b.ANIL": theirs}, {})
    with pytest.raises(ConfigError, match="could be any of"):
        both.resolve("ANIL")


def test_a_plugin_that_ends_the_program_when_it_is_imported_stops_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_that_quits.py").write_text("raise SystemExit('no licence')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    entry = importlib.metadata.EntryPoint("quits", "module_that_quits:Quits", plugins.METHODS)
    broken = {"quits": entry}
    monkeypatch.setattr(plugins, "_entries", lambda group: broken if group == plugins.METHODS else {})
    monkeypatch.setattr(plugins, "_rivals", lambda group: {})  # noqa: ARG005
    with pytest.raises(
        PluginError, match=r"'quits' from an unknown package .* cannot be imported: SystemExit: no"
    ):
        plugins.load(plugins.METHODS, "quits")
    assert "no licence" in catalogue().broken["Quits"]


def test_a_name_of_another_kind_is_said_to_be_one() -> None:
    with pytest.raises(PluginError, match=r"'no_adaptation'\. There is a method of policies of that name"):
        plugins.load(plugins.METHODS, "no_adaptation")
    with pytest.raises(PluginError, match=r"'navigation2d'\. There is a control source of that name"):
        plugins.load(plugins.DATASETS, "navigation2d")
