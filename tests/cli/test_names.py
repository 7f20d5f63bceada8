"""Names are printed as they are, whatever they mean to the library that prints tables."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from runs import CLASSES, train

from pixelbayes.checkpoints import checkpoint
from pixelbayes.cli import main

NAMES = (":dog:", "[@owl]", "[red]")  # in alphabetical order
DATA, RUN, JUDGE = "[blue]", "runs/[bold]x", "[b]judge"


@pytest.mark.usefixtures("without_plots")
def test_every_command_prints_names_as_they_are(pictures, classifier_run, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")  # tables are not wrapped
    shutil.copytree(pictures, DATA)
    for split in Path(DATA).iterdir():
        for old, new in zip(CLASSES, NAMES, strict=True):
            (split / old).rename(split / new)
    classifier = checkpoint.load_classifier(classifier_run)
    checkpoint.save(replace(classifier, class_names=NAMES), Path(JUDGE, "best.safetensors"))

    def printed(*names):
        output = "".join(capfd.readouterr())
        assert [name for name in names if name not in output] == [], output

    assert train(DATA, RUN, "--epochs", 1) == 0
    printed(*NAMES, DATA, RUN)
    for command, names in {
        f"evaluate {RUN} --data {DATA} --samples 2 --classifier {JUDGE}": (*NAMES, DATA, RUN),
        f"calibrate {RUN} --data {DATA}": (DATA, RUN),
        f"classify {RUN} {DATA}/test": (f"{DATA}/test/[red]/00.png", "[red] "),
        f"explain {RUN} {DATA}/test/[red]/00.png --classes [red] :dog: --out [green]": ("[red] ", ":dog:", "[green]"),
        f"sample {RUN} --label [red] --num-samples 1 --out [cyan]": ("[cyan]",),
        f"average {RUN}/best.safetensors {RUN}/last.safetensors --out [i].safetensors": ("[i].safetensors", RUN),
        f"train --out {RUN} --resume --device auto": (*NAMES, DATA, RUN),
    }.items():
        assert main(command.split()) == 0
        printed(*names)
