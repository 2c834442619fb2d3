import pickle
import re
from pathlib import Path

import pytest

from experiments import refused, write_tiny
from harness import plugins
from harness.config import load_experiment
from harness.episode import EpisodeShape
from harness.plan import plan
from harness_datasets.glyphs import Glyphs
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from harness_methods.nil import NIL

REPOSITORY = Path(__file__).resolve().parents[1]


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


@pytest.mark.parametrize(
    ("binding", "said"),
    [
        ("Experiment.max_way='ten'", "Experiment.max_way must be a whole number or None; got 'ten'."),
        ("Experiment.max_way=5.5", "Experiment.max_way must be a whole number or None; got 5.5."),
        ("Experiment.max_way=1", "Experiment.max_way must be a whole number of at least 2; got 1."),
        (
            "Experiment.margin_points=0",
            "Experiment.margin_points must be a number of percentage points above 0",
        ),
        ("Experiment.margin_points=-1", "got -1.0. Declare the largest difference in accuracy that does not"),
        ("Experiment.margin_points=101", "at most 100; got 101.0."),
        ("Experiment.margin_points='x'", "Experiment.margin_points must be a finite number; got 'x'."),
        ("Experiment.full_adaptation=1", "Experiment.full_adaptation must be text or None; got 1."),
        ("Experiment.name=5", "Experiment.name must be text; got 5."),
        ("Experiment.title=None", "Experiment.title must be text; got None."),
        ("Experiment.claim=['a']", "Experiment.claim must be text; got ['a']."),
        ("Experiment.seeds=True", "Experiment.seeds must be"),
        ("Experiment.seeds=2.5", "Experiment.seeds must be"),
        ("Experiment.seeds=0", "Experiment.seeds must be"),
        ("Experiment.seeds=[0, -1]", "Experiment.seeds must be"),
        ("Regime.name=5", "Regime.name must be text or None; got 5."),
        ("Regime.name=''", "Regime.name must be a name, or None"),
        ("Regime.learning_rate=1e999", "Regime.learning_rate must be a finite number; got inf."),
        ("Regime.learning_rate=-1e-3", "Regime.learning_rate must be a number of at least 0; got -0.001."),
        ("Regime.gradient_clip='x'", "Regime.gradient_clip must be a finite number or None; got 'x'."),
        ("Regime.gradient_clip=0", "Regime.gradient_clip must be a number above 0, or None for no clipping"),
        ("Regime.iterations=True", "Regime.iterations must be a whole number; got True."),
        ("Regime.schedule=5", "Regime.schedule must be text; got 5."),
        ("Evaluation.n_episodes=3.0", "Evaluation.n_episodes must be a whole number of at least 2; got 3.0."),
        ("Evaluation.split=5", "Evaluation.split must be one of 'test', 'train', 'valid'; got 5."),
        ("Images.size=True", "Images.size must be a whole number; got True."),
        ("Images.channels=True", "Images.channels must be a whole number or None; got True."),
        ("Images.scaling=None", "Images.scaling must be text; got None."),
        ("Conv4.filters=True", "Conv4.filters must be a whole number; got True."),
        ("Conv4.batch_norm_epsilon='x'", "Conv4.batch_norm_epsilon must be a finite number; got 'x'."),
        ("Conv4.batch_norm_epsilon=0", "Conv4.batch_norm_epsilon must be a number above 0; got 0.0."),
        ("Conv4.batch_norm_scale='x'", "Conv4.batch_norm_scale must be True or False; got 'x'."),
        ("Conv4.name=''", "Conv4.name must be letters, digits"),
        ("MAML.first_order='no'", "MAML.first_order must be True or False; got 'no'."),
        ("MAML.first_order=1", "MAML.first_order must be True or False; got 1."),
        ("MAML.inner_lr=1e999", "MAML.inner_lr must be a finite number; got inf."),
        ("MAML.inner_steps=1.5", "MAML.inner_steps must be a whole number; got 1.5."),
        ("MAML.name=None", "MAML.name must be text; got None."),
        ("NIL.name=5", "NIL.name must be text; got 5."),
        ("NIL.trainer='anil'", "NIL.trainer must hold a method"),
        ("NIL.trainer=@ANIL", "NIL.trainer holds the class ANIL"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_before_anything_runs(
    tmp_path: Path, binding: str, said: str
) -> None:
    message = refused(write_tiny(tmp_path), binding)
    assert said in message
    assert "refuses its parameters" not in message


def test_a_whole_number_for_a_rate_is_the_same_run(tmp_path: Path) -> None:
    bindings = ("MAML.inner_lr={}", "Regime.learning_rate={}", "Regime.gradient_clip={}")
    config = write_tiny(tmp_path)
    whole, broken = (
        plan(load_experiment(config, [b.format(n) for b in bindings])[0], data_dir=None, cache=tmp_path).runs
        for n in ("2", "2.0")
    )
    assert [run.run_id for run in whole] == [run.run_id for run in broken]
    assert whole[0].train.learning_rate == 2.0
    assert isinstance(whole[0].train.learning_rate, float)
