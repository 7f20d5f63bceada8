import csv
import importlib
import json
from dataclasses import replace

import pytest
from PIL import Image
from runs import QUICK, TINY, write_pictures

from pixelbayes import experiments
from pixelbayes.cli import main
from pixelbayes.data import DataConfig
from pixelbayes.experiments.audit import apply_proposals
from pixelbayes.report import results
from pixelbayes.utils.errors import InputError, InterruptedRunError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_plots")]

QUICK_AUDIT = (
    "--levels 8 --widths 4 6 --blocks 1 1 --batch-size 8 --warmup-steps 2 --logger none --device cpu --folds 2"
)


def proposals(out):
    with (out / "proposals.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write_proposals(out, rows):
    with (out / "proposals.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A folder of class folders with two turned labels, a near-duplicate and a second file with equal pixels."""
    folder = write_pictures(tmp_path_factory.mktemp("data") / "planted", counts={"train": 20})
    train = folder / "train"
    (train / "cat" / "03.png").rename(train / "owl" / "turned-cat.png")
    (train / "owl" / "05.png").rename(train / "cat" / "turned-owl.png")
    Image.open(train / "dog" / "04.png").save(train / "dog" / "equal.png")
    near = Image.open(train / "cat" / "02.png")
    near.putpixel((1, 1), (0, 0, 0))
    near.save(train / "cat" / "near.png")
    return folder


@pytest.fixture(scope="module")
def audited(planted, tmp_path_factory):
    """The folder of an audit of `planted` through the command line; read-only."""
    out = tmp_path_factory.mktemp("runs") / "audit"
    options = [*QUICK_AUDIT.split(), "--preset", "digits", "--epochs", "12", "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "plots_of", lambda _: {})  # the audit has its own
        assert main(["audit", str(planted), *options]) == 0
    return out


def test_an_audit_proposes_what_was_planted(audited):
    found = {row["image"]: (row["action"], row["new label"], row["copy of"]) for row in proposals(audited)}
    expected = {
        "train/owl/turned-cat.png": ("relabel", "cat", ""),
        "train/cat/turned-owl.png": ("relabel", "owl", ""),
    }
    assert expected.items() <= found.items()
    copies = {frozenset((image, copy_of)) for image, (action, _, copy_of) in found.items() if action == "remove"}
    assert copies == {
        frozenset(("train/dog/equal.png", "train/dog/04.png")),
        frozenset(("train/cat/near.png", "train/cat/02.png")),
    }
    assert json.loads((audited / "audit.json").read_text())["judged"] == 62
    page = (audited / "index.html").read_text()
    assert all(title in page for title in ("Likely mislabelled", "What speaks against the labels", "Near-duplicates"))


def test_every_image_is_judged_by_a_network_that_was_not_trained_on_it(planted, audited):
    with (audited / "images.csv").open(newline="") as file:
        fold = {row["image"]: row["fold"] for row in csv.DictReader(file)}
    assert len(fold) == 62
    for number in ("1", "2"):
        with (audited / f"fold-{number}" / "predictions.csv").open(newline="") as file:
            measured = {row["image"] for row in csv.DictReader(file)}
        assert measured == {image for image, of in fold.items() if of == number}
        counts = json.loads((audited / f"fold-{number}" / "data.json").read_text())
        assert counts["splits"]["train"]["images"] + counts["splits"]["validation"]["images"] == 62 - len(measured)
        assert not any(counts["duplicates"]["across"].values())


def test_the_copy_is_corrected_as_the_edited_proposals_say(planted, audited, tmp_path, capsys):
    copy, rows = tmp_path / "copy", proposals(audited)
    edited = [row | {"action": "keep"} if row["image"] == "train/cat/turned-owl.png" else row for row in rows]
    out = tmp_path / "audit"
    out.mkdir()
    (out / "index.html").touch()
    write_proposals(out, edited)
    assert main(["audit", str(planted), *QUICK_AUDIT.split(), "--out", str(out), "--apply", str(copy)]) == 0
    removed = sum(row["action"] == "remove" for row in rows)
    assert sum(1 for _ in copy.rglob("*.png")) == 62 - removed
    assert (copy / "train" / "cat" / "turned-cat.png").is_file()
    assert (copy / "train" / "cat" / "turned-owl.png").is_file()
    assert "removed" in capsys.readouterr().out


def test_faulty_proposals_are_all_listed_and_nothing_is_written(planted, audited, tmp_path):
    rows = proposals(audited)
    relabel = next(row for row in rows if row["action"] == "relabel")
    faulty = [
        relabel | {"new label": "cow"},
        relabel | {"action": "delete"},
        relabel | {"position": "61"},
        relabel | {"split": "test"},
    ]
    write_proposals(tmp_path, faulty)
    with pytest.raises(InputError) as error:
        apply_proposals(DataConfig(source=str(planted)), tmp_path, tmp_path / "copy")
    lines = str(error.value).splitlines()
    assert [line.split(": ")[0].rpartition(" ")[2] for line in lines] == ["2", "3", "4", "5"]
    assert "new label 'cow' is not a class" in lines[0]
    assert "expected relabel, remove, review or keep" in lines[1]
    assert all("audit again" in line for line in lines[2:])
    assert not (tmp_path / "copy").exists()
    with pytest.raises(InputError, match="name a folder beside it"):
        apply_proposals(DataConfig(source=f"folder:{planted}"), audited, planted / "copy")
    (tmp_path / "proposals.csv").write_text("image,action\n")
    with pytest.raises(InputError, match="no column split, position"):
        apply_proposals(DataConfig(source=str(planted)), tmp_path, tmp_path / "copy")


def test_an_audit_that_was_stopped_goes_on_with_the_fold_it_was_in(planted, audited, tmp_path, monkeypatch):
    audit_module = importlib.import_module("pixelbayes.experiments.audit")  # the name in the package is the function
    config = replace(QUICK, data=replace(QUICK.data, source=str(planted)))
    trained = []

    def train_once(config, run, **options):
        if len(trained) == 1 and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            raise InterruptedRunError("training stopped; resume it with another command", 15)
        trained.append(run.name)
        return original(config, run, **options)

    original = audit_module.train_baseline
    monkeypatch.setattr(audit_module, "train_baseline", train_once)
    with pytest.raises(InterruptedRunError, match="the same command continues"):
        experiments.audit(config, tmp_path / "out", folds=2)
    experiments.audit(config, tmp_path / "out", folds=2)
    assert trained == ["fold-1", "fold-2"]
    with pytest.raises(InputError, match="other values of folds"):
        experiments.audit(config, tmp_path / "out", folds=3)
    edited = (tmp_path / "out" / "proposals.csv").read_text() + "an edit"
    (tmp_path / "out" / "proposals.csv").write_text(edited)
    with pytest.raises(InputError, match="holds a finished audit; give --apply"):
        experiments.audit(config, tmp_path / "out", folds=2)
    assert (tmp_path / "out" / "proposals.csv").read_text() == edited


def test_densities_can_judge_too(tmp_path):
    source = write_pictures(tmp_path / "source", counts={"train": 6})
    options = [*TINY.split(), "--epochs", "2", "--sample-every", "0", "--folds", "2"]
    assert main(["audit", str(source), "--by", "density", *options, "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number in (1, 2):
        with (tmp_path / "out" / f"fold-{number}" / "predictions.csv").open(newline="") as file:
            measured = {row["image"]: row for row in csv.DictReader(file)}
        for row in rows:
            if row["fold"] == str(number):
                log_p = {name: float(measured[row["image"]][f"log p(x | {name})"]) for name in ("cat", "dog", "owl")}
                best = max(value for name, value in log_p.items() if name != row["label"])
                assert float(row["margin in nats"]) == pytest.approx(log_p[row["label"]] - best, abs=0.02)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--folds", "1"], "folds is 1, expected at least 2"),
        (["--folds", "25"], "no class has more than"),
        (["--data", "digits"], "the images are given twice"),
    ],
    ids=["one fold", "more folds than images", "data twice"],
)
def test_what_cannot_be_audited_is_said_in_one_line(planted, tmp_path, capsys, words, message):
    assert main(["audit", str(planted), *QUICK_AUDIT.split(), "--out", str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
