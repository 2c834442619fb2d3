"""Lines of a gin file, or places left at their default, that would change nothing."""

from pathlib import Path

import pytest

from experiments import refused, write_tiny
from harness.config import load_experiment
from harness_methods.anil import ANIL


def without(config: Path, *lines: str) -> Path:
    """The config without its lines that begin so; empty lines keep the numbers of the others."""
    text = config.read_text(encoding="utf-8").splitlines()
    kept = ["" if line.startswith(lines) else line for line in text]
    config.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return config


@pytest.mark.parametrize(
    ("dropped", "said"),
    [
        ("Regime.shape", ":22: this has no effect on Regime.shape"),
        ("Regime.shape", "Add the line `Regime.shape = @EpisodeShape()`."),
        ("Evaluation.shape", ":22: this has no effect on Evaluation.shape"),
        ("Evaluation.shape", "Add the line `Evaluation.shape = @EpisodeShape()`."),
        ("Experiment.images", ":11: this has no effect on Experiment.images"),
        ("Experiment.images", "so is Images(size=84,"),
        ("Experiment.images", "Add the line `Experiment.images = @Images()`."),
    ],
)
def test_a_place_left_at_its_default_although_lines_say_otherwise(
    tmp_path: Path, dropped: str, said: str
) -> None:
    assert said in refused(without(write_tiny(tmp_path), dropped))


def test_a_default_that_an_included_part_does_not_reach_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "size.gin").write_text("Images.size = 20\n")
    config = without(write_tiny(tmp_path, "include 'size.gin'"), "Images.size", "Experiment.images")
    message = refused(config)
    assert "size.gin:1: this has no effect on Experiment.images" in message
    assert refused(without(config, "include"), "Images.size=20").startswith(
        "--set 'Images.size=20': this has"
    )


def test_lines_that_say_what_the_default_says_may_stay_in_a_part_only(tmp_path: Path) -> None:
    (tmp_path / "size.gin").write_text("Images.size = 84\n")
    config = without(write_tiny(tmp_path, "include 'size.gin'"), "Images.size", "Experiment.images")
    assert load_experiment(config)[0].images.size == 84
    config = without(write_tiny(tmp_path, "Images.size = 84"), "Images.size = 16", "Experiment.images")
    assert ":25: this has no effect: nothing in the experiment is made by @Images()" in refused(config)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Textures.n_classes = 30", "made by @Textures(). Add @Textures() to Regime.sources or Evaluation"),
        ("Sampling.trajectories = 3", "an Experiment has no place for @Sampling(). Remove the line."),
        ("train/Images.size = 20", "made by @train/Images(). Add `Experiment.images = @train/Images()`"),
        ("inner_lrr = 0.1", ":25: this has no effect: nothing uses %inner_lrr."),
    ],
)
def test_a_line_of_the_main_file_that_reaches_nothing_says_what_to_add(
    tmp_path: Path, line: str, said: str
) -> None:
    assert said in refused(write_tiny(tmp_path, line))


def test_a_class_that_is_named_but_never_made_is_reached_by_no_line(tmp_path: Path) -> None:
    (tmp_path / "nil.gin").write_text("NIL.trainer = @ANIL()\nMAML.inner_lr = 0.3\n")
    config = without(
        write_tiny(tmp_path, "Experiment.methods = [@MAML()]", "ANIL.inner_lr = 0.2"),
        "NIL.trainer",
        "Experiment.methods = [@MAML(), @ANIL(), @NIL()]",
    )
    config.write_text("include 'nil.gin'\n" + config.read_text())
    assert "made by @ANIL(). Add @ANIL() to Experiment.methods" in refused(config)


def test_an_included_part_may_say_more_than_is_used(tmp_path: Path) -> None:
    (tmp_path / "part.gin").write_text("Textures.n_classes = 30\nspare = 1\nfo/MAML.inner_lr = 1.0\n")
    load_experiment(write_tiny(tmp_path, "include 'part.gin'"))


@pytest.mark.parametrize("methods", ["[@ANIL()]", "[@MAML()]"])
def test_set_may_take_out_what_lines_of_the_file_are_about(tmp_path: Path, methods: str) -> None:
    config = write_tiny(tmp_path, "MAML.inner_lr = 0.3", "ANIL.inner_lr = 0.3")
    assert len(load_experiment(config, [f"Experiment.methods={methods}"])[0].methods) == 1
    config = write_tiny(
        tmp_path, "list = [@MAML(), @NIL()]", "Experiment.methods = %list", "ANIL.inner_lr = 1.0"
    )
    assert len(load_experiment(config, [f"list={methods}"])[0].methods) == 1
    assert len(load_experiment(config, [f"Experiment.methods={methods}"])[0].methods) == 1


@pytest.mark.parametrize("listed", ["[@ANIL(), @NIL()]", "[@NIL()]"])
def test_a_trainer_that_the_lines_about_its_class_do_not_reach_is_refused(
    tmp_path: Path, listed: str
) -> None:
    lines = ("ANIL.inner_lr = 0.3", f"Experiment.methods = {listed}")
    message = refused(without(write_tiny(tmp_path, *lines), "NIL.trainer"))
    assert ":25: this has no effect on NIL.trainer" in message
    assert message.endswith("Add the line `NIL.trainer = @ANIL()`.")


def test_a_default_trainer_unlike_the_listed_method_of_its_class_is_refused(tmp_path: Path) -> None:
    lines = ("my/ANIL.inner_lr = 0.3", "Experiment.methods = [@my/ANIL(), @NIL()]")
    message = refused(without(write_tiny(tmp_path, *lines), "NIL.trainer"))
    assert "'nil' would train another network" in message
    assert "Add the line `NIL.trainer = @ANIL()`" in message
    own = write_tiny(tmp_path, *lines, "NIL.trainer = @other/ANIL()", "other/ANIL.inner_lr = 0.7")
    assert load_experiment(own)[0].methods[1].trainer == ANIL(inner_lr=0.7)


def test_a_trainer_may_stay_at_its_default_where_nothing_says_otherwise(tmp_path: Path) -> None:
    for methods in ("[@NIL()]", "[@ANIL(), @NIL()]"):
        config = without(write_tiny(tmp_path, f"Experiment.methods = {methods}"), "NIL.trainer")
        experiment, text = load_experiment(config)
        assert experiment.methods[-1].trainer == ANIL()
        again = tmp_path / "config.gin"
        again.write_text(text, encoding="utf-8")
        assert load_experiment(again) == (experiment, text)
