import pickle
import re
from pathlib import Path

import pytest

from experiments import write_tiny
from harness import plugins
from harness.config import load_experiment
from harness.episode import EpisodeShape
from harness.errors import ConfigError
from harness.plan import plan
from harness_datasets.glyphs import Glyphs
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from harness_methods.nil import NIL

REPOSITORY = Path(__file__).resolve().parents[1]


def refused(config: Path, *bindings: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_experiment(config, bindings)
    message = str(caught.value)
    assert "Traceback" not in message
    assert "In call to" not in message, "gin's own wording has leaked"
    assert message.endswith((".", "?"))
    return message


def test_everything_is_filled_in(tmp_path: Path) -> None:
    experiment, _ = load_experiment(write_tiny(tmp_path))
    assert [type(method) for method in experiment.methods] == [MAML, ANIL, NIL]
    assert experiment.methods[2].trainer == ANIL()
    assert experiment.regimes[0].shape == EpisodeShape(n_way=5, n_query=1)
    assert experiment.evaluations[0].shape == EpisodeShape(n_way=5, n_query=2)
    assert type(experiment.regimes[0].sources[0]) is Glyphs


def test_nothing_of_gin_stays_in_the_specs(tmp_path: Path) -> None:
    config = write_tiny(
        tmp_path,
        "Experiment.methods = [@fo/MAML(), @NIL()]",
        "fo/MAML.first_order = True",
        "fo/MAML.name = 'fo_maml'",
    )
    experiment, _ = load_experiment(config)
    assert type(experiment.methods[0]) is MAML
    runs = plan(experiment, data_dir=None, cache=tmp_path).runs
    assert pickle.loads(pickle.dumps(runs)) == runs
    assert b"gin.config" not in pickle.dumps(runs)


def test_the_stored_settings_give_the_same_experiment_again(tmp_path: Path) -> None:
    words = "Words enough to be broken into several lines by a printer. " * 3 + 'It is "so".'
    long = f"Experiment.claim = '{words}'"
    config = write_tiny(tmp_path, "shots = 2", "EpisodeShape.n_shot = %shots", long)
    experiment, text = load_experiment(config, ["MAML.inner_lr=0.25"])
    again = tmp_path / "config.gin"
    again.write_text(text, encoding="utf-8")
    assert load_experiment(again) == (experiment, text)
    assert "MAML.inner_lr = 0.25" in text
    assert "first_order = False" in text, "defaults are part of what is stored"


def test_a_call_leaves_nothing_for_the_next(tmp_path: Path) -> None:
    config = write_tiny(tmp_path)
    before = load_experiment(config)
    load_experiment(config, ["MAML.inner_steps=7"])
    refused(config, "MALM.inner_steps=7")
    assert load_experiment(config) == before


def test_includes_are_relative_to_the_file_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "deep.gin").write_text("Conv4.filters = 6\n")
    (tmp_path / "parts" / "net.gin").write_text("include 'deep.gin'\n")
    config = write_tiny(tmp_path, "include 'parts/net.gin'")
    monkeypatch.chdir("/")
    assert load_experiment(config)[0].network.filters == 6  # type: ignore[attr-defined]


@pytest.mark.parametrize("config", sorted((REPOSITORY / "gin").glob("*.gin")), ids=lambda path: path.stem)
def test_every_experiment_in_the_repository_loads(config: Path) -> None:
    experiment, _ = load_experiment(config)
    assert experiment.name == config.stem
    head = config.read_text(encoding="utf-8").split("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    for word in ("# Claim:", "# Source:", "# Cost:", f"# Command: harness run gin/{config.name}"):
        assert word in head


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Experiment.methods = [@MALM()]", ":25: Unknown name 'MALM'. Did you mean 'MAML'?"),
        ("Experiment.methods = [\n@MAML(),\n@MALM(),\n]", ":27: Unknown name 'MALM'. Did you mean 'MAML'?"),
        ("MALM.inner_lr = 1", ":25: Unknown name 'MALM'. Did you mean 'MAML'?"),
        ("MALM:\n  inner_lr = 1", ":25: Unknown name 'MALM'. Did you mean 'MAML'?"),
        ("MAML.inner_lrr = 1", ":25: MAML has no parameter 'inner_lrr'. Did you mean 'inner_lr'?"),
        ("MAML:\n  inner_lrr = 1", ":26: MAML has no parameter 'inner_lrr'. Did you mean 'inner_lr'?"),
        ("MAML.inner_lr = ", ":25: this is not gin syntax"),
        ("MAML.inner_lr = fast", ":25: this is not gin syntax: 'fast' is not a value. Text values need"),
        ("MAML.inner_lr 0.1", ":25: this is not gin syntax"),
        ("MAML.inner_lr = [1,", "this is not gin syntax: EOF in multi-line statement"),
        ("MAML.name = 'maml", ":25: this is not gin syntax"),
        ("$", ":25: this is not gin syntax"),
        ("include 'parts/none.gin'", ":25: There is no config file"),
        ("include 'tiny.gin'", "includes itself"),
        ("import os", ":25: imports are not needed"),
        ("MAML.inner_lr = %rate", "%rate has no value"),
        ("fo/MAML.first_order = True", ":25: this has no effect: no reference has the scope 'fo'"),
        ("trian/EpisodeShape.n_way = 5", "Did you mean 'train'?"),
        ("MAML.inner_lr = -1", ":25: MAML.inner_lr must be a number above 0"),
        ("Conv4.batch_norm = 'suport'", "Did you mean 'support'?"),
        ("MAML.inner_lr = %gin.REQUIRED", "MAML.inner_lr must be given a value"),
        ("Experiment.methods = @MAML()", ":25: Experiment.methods must be a list"),
        ("Experiment.methods = [@MAML]", "write @MAML()"),
        ("Experiment.methods = ['maml']", "Experiment.methods must hold a method"),
        ("Experiment.network = 'conv4'", "must hold a network, written for example @Conv4()"),
        ("Regime.sources = [@MAML()]", "Regime.sources must hold a source"),
        ("Regime.shape = 5", "Regime.shape must hold a EpisodeShape"),
        ("Experiment.seeds = 'a'", "Experiment.seeds must be"),
        ("NIL.trainer = @NIL()", "leads back to itself"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_one_sentence_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    message = refused(write_tiny(tmp_path, line))
    assert said in message
    assert "tiny.gin" in message


@pytest.mark.parametrize(
    ("binding", "said"),
    [
        ("MAML.inner_lr", "--set takes 'Name.parameter=value'"),
        ("fast", "--set takes"),
        ("MAML.inner_lr=", "--set takes"),
        ("=1", "--set takes"),
        ("MAML.name=fast", "Text values need quotes"),
        ("MALM.inner_lr=1", "Did you mean 'MAML'?"),
        ("MAML.inner_lrr=1", "Did you mean 'inner_lr'?"),
        ("EpisodeShape.n_way=1", "EpisodeShape.n_way must be a whole number of at least 2"),
        ("fo/MAML.inner_lr=1", "has no effect"),
        ("Textures.n_classes=30", "has no effect: nothing in the experiment is made by @Textures()"),
        ("Experiment.nmae='x'", "Did you mean 'name'?"),
    ],
)
def test_a_mistake_in_set_is_one_sentence(tmp_path: Path, binding: str, said: str) -> None:
    assert said in refused(write_tiny(tmp_path), binding)


def test_a_set_that_a_scoped_line_overrules_is_refused(tmp_path: Path) -> None:
    config = write_tiny(tmp_path, "train/EpisodeShape.n_way = 4", "Evaluation.shape = @train/EpisodeShape()")
    message = refused(config, "EpisodeShape.n_way=3")
    assert "train/EpisodeShape.n_way" in message
    assert "tiny.gin:25" in message


def test_set_may_take_out_what_a_scoped_line_is_about(tmp_path: Path) -> None:
    config = write_tiny(tmp_path, "Experiment.methods = [@fo/MAML()]", "fo/MAML.name = 'fo'")
    experiment, _ = load_experiment(config, ["Experiment.methods=[@ANIL()]"])
    assert [method.name for method in experiment.methods] == ["anil"]


def test_missing_values_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.gin"
    empty.write_text("# nothing\n")
    assert "no value for Experiment.name and Experiment.methods" in refused(empty)
    config = write_tiny(tmp_path, "Experiment.regimes = [@other/Regime()]")
    text = re.sub(r"^Regime.sources.*$", "", config.read_text(), flags=re.MULTILINE)
    config.write_text(text)
    assert "no value for other/Regime.sources" in refused(config)


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    assert "Did you mean" in refused(tmp_path / "tiyn.gin")
    assert "is a folder" in refused(tmp_path)
    (tmp_path / "tiny.gin").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as UTF-8" in refused(tmp_path / "tiny.gin")


def test_a_broken_plugin_is_named_when_asked_for_and_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "broken_plugin-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[harness.methods]\nproto = module_that_is_not_there:Proto\n")
    monkeypatch.syspath_prepend(str(package.parent))
    plugins._entries.cache_clear()
    try:
        load_experiment(write_tiny(tmp_path))
        message = refused(write_tiny(tmp_path, "Experiment.methods = [@Proto()]"))
    finally:
        monkeypatch.undo()
        plugins._entries.cache_clear()
    assert "tiny.gin:25: The method 'proto' from broken-plugin 1.0" in message
    assert "No module named 'module_that_is_not_there'" in message


def test_plugins_in_plugins_survive_the_round_trip() -> None:
    method = NIL(name="nil5", trainer=ANIL(inner_steps=3, name="anil3"))
    component = plugins.describe(plugins.METHODS, method)
    assert component.params["trainer"].plugin == "anil"
    assert plugins.build(plugins.METHODS, pickle.loads(pickle.dumps(component))) == method
