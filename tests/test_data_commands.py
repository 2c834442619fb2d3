"""`harness data`: what there is, prepared, checked, and every mistake in one sentence."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from command_line import refused
from experiments import write_tiny
from harness import cli, plugins
from harness.contact_sheet import IMAGES, TILE, evenly, shortened
from harness.data_checking import unlike_published
from harness.data_listing import DASH, show_pools, show_sources
from harness.data_needs import DataRequest, pool_needs
from harness.pool_status import interrupted, note_use, used_by

FOLDER_LINES = (
    "Regime.sources = [@ImageFolder()]",
    "Evaluation.sources = [@ImageFolder()]",
    "ImageFolder.name = 'own'",
    "ImageFolder.path = 'own'",
    "ImageFolder.fractions = (0.4, 0.3, 0.3)",
)


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with twenty classes of four drawn images."""
    rng = np.random.default_rng(0)
    for c in range(20):
        folder = home / "raw" / "own" / f"class{c:02}"
        folder.mkdir(parents=True)
        for k in range(4):
            pixels = rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{k}.png")
    monkeypatch.setenv("HARNESS_DATA", str(home / "raw"))
    return home


def test_list_shows_every_source_and_one_in_full(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "list"]) == 0
    shown = capsys.readouterr().out
    for word in ("ilsvrc_2012", "712/158/130", "1,280,764", "records, md_tfds, original, tfds", "embedded"):
        assert word in shown
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in shown.splitlines() if line.strip()}
    assert rows["quickdraw"].endswith("CC BY 4.0")
    assert rows["tfds"].startswith(f"{DASH} {DASH} {DASH} {DASH} what its parameters say")
    assert rows["image_folder"].endswith("folder your own data")
    assert cli.main(["data", "list", "dtd"]) == 0
    shown = capsys.readouterr().out
    for word in ("33/7/7", "5,640", "licence", "robots.ox.ac.uk/~vgg/data/dtd", "nothing", "dtd --download"):
        assert word in shown
    assert "Did you mean 'dtd'" in refused(capsys, "data", "list", "dtdd")


def test_in_a_narrow_terminal_no_name_of_a_source_or_pool_is_broken(home: Path) -> None:
    assert cli.main(["data", "prepare", "digits"]) == 0
    console = Console(file=io.StringIO(), width=80)
    show_sources([], None, None, console)
    show_pools(home / "cache", console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(len(line) <= 80 for line in lines[:-1])
    assert lines[-1].endswith(str(home / "cache")), "a path is never broken, either"
    assert set(plugins.names(plugins.DATASETS)) <= set(lines)
    (pool,) = [line for line in lines if line.startswith("digits-")]
    assert pool == next((home / "cache").rglob("digits-*")).name
    assert lines[lines.index(pool) + 1].startswith("    10 classes, 1797 images, ")
    said = " ".join(" ".join(lines).split())
    assert "712/158/130 classes, 1,280,764 images" in said


def test_list_says_what_is_found(own: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "list", "dtd", "--data", str(data_dir)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "records in" in said
    assert "a subset: 10 of 47 published classes, 1,200 of 5,640 published images" in said


def test_prepare_verify_and_status_of_ones_own_images(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(write_tiny(own, *FOLDER_LINES))
    assert cli.main(["data", "prepare", config]) == 0
    assert capsys.readouterr().out.count("own-") >= 3
    assert cli.main(["data", "verify", config, "--out", "checked"]) == 0
    assert capsys.readouterr().out.count("as it should be") == 3
    text = (own / "checked" / "report.md").read_text()
    assert "| own/train | 8 | 32 | 4 | 16 x 16 x 3 |" in text
    assert str(own) not in text
    with Image.open(own / "checked" / "own-test.png") as sheet:
        assert sheet.size[0] > IMAGES * TILE
        assert len(np.unique(np.asarray(sheet.convert("RGB")).reshape(-1, 3), axis=0)) > 100
    assert cli.main(["data", "verify", config, "--out", "bare", "--no-sheets"]) == 0
    assert [path.name for path in (own / "bare").iterdir()] == ["report.md"]
    assert ".png" not in (own / "bare" / "report.md").read_text()
    capsys.readouterr()
    assert cli.main(["data", "status"]) == 0
    assert "3 pools, " in capsys.readouterr().out


def test_verify_finds_what_is_wrong(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(write_tiny(own, *FOLDER_LINES))
    assert cli.main(["data", "prepare", config]) == 0
    pool = next((own / "cache" / "pools").glob("own-test*"))
    content = bytearray((pool / "images.npy").read_bytes())
    content[-1] ^= 1
    (pool / "images.npy").write_bytes(content)
    capsys.readouterr()
    assert cli.main(["data", "verify", config]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "are not those prepared" in shown
    assert shown.count("as it should be") == 2


def test_verify_of_what_is_not_prepared_says_so(
    home: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["data", "verify", "omniglot", "--data", str(data_dir)]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("is not there. Prepare it") == 3
    assert "a subset" not in shown


def test_verify_says_in_what_a_pool_is_unlike_the_published_source(
    home: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(data_dir / "meta_dataset_records" / "dtd.zip")
    assert cli.main(["data", "prepare", "dtd", "--from", place, "--size", "8"]) == 0
    capsys.readouterr()
    assert cli.main(["data", "verify", "dtd", "--from", place, "--size", "8"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "read from dtd.zip (records); 5 of 33 published classes: numbers measured on it are not" in shown
    subset = "dtd: 10 of 47 published classes, 1,200 of 5,640 published images: a subset; numbers"
    assert subset in shown
    # All of its splits count, whichever the experiment needs.
    config = str(write_tiny(home, "Evaluation.sources = [@DTD()]", "Images.size = 8"))
    only = ["--only", "dtd", "--from", place]
    assert cli.main(["data", "prepare", config, *only]) == 0
    capsys.readouterr()
    assert cli.main(["data", "verify", config, *only, "--out", "one"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "as it should be" in shown
    assert subset in shown
    omniglot = str(write_tiny(home, "Evaluation.sources = [@Omniglot()]", "Images.size = 8"))
    whole = [omniglot, "--only", "omniglot", "--data", str(data_dir)]
    assert cli.main(["data", "prepare", *whole]) == 0
    capsys.readouterr()
    assert cli.main(["data", "verify", *whole, "--out", "whole"]) == 0
    assert "a subset" not in capsys.readouterr().out
    (need, *_) = pool_needs(DataRequest(names=["omniglot"], data_dir=data_dir, cache=home))
    request = DataRequest(names=["omniglot"], data_dir=data_dir, cache=home)
    assert unlike_published(need, 1100, request) == (
        "; another class split than the published one, which has 883 classes"
    )
    assert unlike_published(need, 883, request) == ""
    gone = DataRequest(names=["omniglot"], data_dir=None, cache=home)
    assert unlike_published(need, 1100, gone).startswith("; another class split")


def test_prepare_lists_everything_that_is_missing_with_what_to_do(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "data", "prepare", "dtd", "digits", "fungi", "--data", str(home))
    assert "dtd is not there: looked in" in said
    assert "fungi is not there: looked in" in said
    assert not list((home / "cache").rglob("*.npy"))


def test_a_run_lists_what_is_missing_and_the_ways_on(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_tiny(home, "Evaluation.sources = [@DTD(), @Fungi(), @ILSVRC2012()]", "Images.channels = 1")
    said = refused(capsys, "run", str(config))
    for words in (
        "dtd is not there",
        "fungi is not there",
        f"harness data prepare {config} --only dtd --from PATH",
        f"harness data prepare {config} --only fungi --from PATH",
        "Or let TFDS fetch it: `harness data prepare dtd --download --data DIR`",
        "harness data prepare ilsvrc_2012 --download --manual-dir ARCHIVES --data DIR",
        "Experiment.missing_sources = 'skip'",
        "--demo",
    ):
        assert words in said


def test_one_source_of_an_experiment_from_elsewhere(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(write_tiny(own, *FOLDER_LINES, "Evaluation.sources = [@ImageFolder(), @DTD()]"))
    (own / "raw").rename(own / "elsewhere")
    place = str(own / "elsewhere")
    assert cli.main(["data", "prepare", config, "--only", "own", "--from", place]) == 0
    assert capsys.readouterr().out.count("own-") >= 3
    assert "has no source 'owns'. Did you mean 'own'?" in refused(
        capsys, "data", "prepare", config, "--only", "owns"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("digits", "--from", "nowhere"), "--from names nowhere, which is not there"),
        (("digits", "glyphs", "--from", "."), "--from is the place of one source"),
        (("digits", "--only", "digits"), "--only picks a source of an experiment file"),
        (("digits", "--max-images-per-class", "3"), "has no limit of images a class"),
        (("digits", "--download"), "'digits' cannot be downloaded from here"),
        (("fungi", "--download"), "'fungi' cannot be downloaded from here. Fetch fungi_train_val.tgz"),
        (("nonsense",), "Unknown source 'nonsense'"),
        (("nonsense.gin",), "There is no config file 'nonsense.gin'"),
    ],
)
def test_mistakes_are_one_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert said in refused(capsys, "data", "prepare", *words)


def test_sizes_are_for_sources_and_not_for_experiments(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(write_tiny(home))
    assert "says its own. Use --set" in refused(capsys, "data", "prepare", config, "--size", "20")


def test_a_limit_of_images_makes_another_pool(data_dir: Path, home: Path) -> None:
    arguments = ["data", "prepare", "traffic_sign", "--size", "16", "--data", str(data_dir)]
    assert cli.main([*arguments, "--max-images-per-class", "5"]) == 0
    (pool,) = (home / "cache" / "pools").glob("traffic_sign-test*")
    facts = json.loads((pool / "pool.json").read_text())
    assert set(facts["class_sizes"]) == {5}
    assert facts["fingerprint"].endswith("-at-most-5")


def test_pools_remember_who_used_them_and_what_is_half_done(tmp_path: Path) -> None:
    folder = tmp_path / "pools" / "glyphs-x"
    folder.mkdir(parents=True)
    assert used_by(tmp_path, "glyphs-x") == []
    for name in ("b", "a", "b"):
        note_use(tmp_path, "glyphs-x", name)
    assert used_by(tmp_path, "glyphs-x") == ["a", "b"]
    half = tmp_path / "pools" / ".digits-y.partial"
    half.mkdir()
    (half / "journal.jsonl").write_text("{}\n{}\n")
    assert interrupted(tmp_path) == [("digits-y", 2)]


def test_a_sheet_shows_the_first_the_last_and_some_between() -> None:
    assert evenly(3, 10) == [0, 1, 2]
    assert evenly(1000, 5) == [0, 250, 500, 749, 999]
    assert shortened("short") == "short"
    assert len(shortened("x" * 99)) <= 27


def test_a_pool_never_stands_in_for_raw_data_that_is_damaged_or_was_named(
    own: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = own / "raw" / "own"
    assert cli.main(["data", "prepare", "image_folder", "--from", str(place)]) == 0
    (own / "bare").mkdir()
    said = refused(capsys, "data", "prepare", "image_folder", "--from", str(own / "bare"))
    assert "bare has no files" in said
    said = refused(capsys, "data", "prepare", "dtd", "--from", str(place))
    assert "dtd is not there" in said
    config = str(write_tiny(own, *FOLDER_LINES))
    assert cli.main(["data", "prepare", config]) == 0
    stray = place / "stray.png"
    stray.write_bytes((place / "class00" / "0.png").read_bytes())
    assert "has images beside class folders" in refused(capsys, "data", "prepare", config)
    assert "has images beside class folders" in refused(capsys, "plan", config)
    stray.unlink()
    # What is not there any more is taken from its pools, and said so.
    place.rename(own / "elsewhere")
    capsys.readouterr()
    (own / "unrelated").mkdir()
    assert cli.main(["plan", config, "--data", "unrelated"]) == 0
    assert "From its pools: own, as its raw data is not in unrelated." in capsys.readouterr().out


def test_places_and_ways_that_do_not_exist_are_refused(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (("data", "list"), ("data", "prepare", "digits"), ("plan", str(write_tiny(home)))):
        assert "names nowhere, which is not there" in refused(capsys, *command, "--data", "nowhere")
    said = refused(capsys, "data", "prepare", "digits", "--resize", "bilinaer")
    assert "--resize must be one of 'antialias', 'bilinear'" in said
    assert "Did you mean 'bilinear'" in said


def test_an_experiment_says_which_of_its_sources_are_subsets(
    home: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = str(data_dir / "meta_dataset_records")
    config = str(write_tiny(home, "Evaluation.sources = [@Glyphs(), @DTD()]", "Images.channels = 3"))
    assert cli.main(["plan", config, "--data", records]) == 0
    shown = capsys.readouterr().out
    assert "A subset: dtd: 10 of 47 published classes, 1,200 of 5,640 published images; not comp" in shown
    assert "glyphs:" not in shown
