"""The public API: complete, lazy, and typed for users' programs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pixelbayes

PROGRAM = """
import pixelbayes
from pixelbayes import experiments

trained = pixelbayes.load("digits")
reveal_type(trained)
reveal_type(trained.network)
reveal_type(trained.network.config.image_shape.levels)
reveal_type(trained.class_names)
reveal_type(trained.provenance.data)
reveal_type(trained.calibration)
reveal_type(trained.label("7"))
reveal_type(trained.predict(["photo.jpg"]))
reveal_type(trained.predict_proba("photos"))
reveal_type(trained.sample("7", count=2, seed=1))
reveal_type(pixelbayes.load_any("digits"))
reveal_type(pixelbayes.PixelBayesClassifier(budget="10m"))
reveal_type(pixelbayes.sample_class(trained.network, 7, pixelbayes.SamplingConfig(count=2)))
classifier = pixelbayes.BayesClassifier(trained.network, trained.log_prior, trained.temperature)
reveal_type(classifier.predict_proba)
reveal_type(pixelbayes.Scorer(trained.network).class_log_prob)
reveal_type(pixelbayes.Prefix.of_mask)
reveal_type(pixelbayes.from_pretrained("digits"))
reveal_type(pixelbayes.average_weights([trained, trained]))
reveal_type(pixelbayes.FUSIONS)
reveal_type(experiments.measure("digits", "digits", "test"))
reveal_type(experiments.sample)
reveal_type(experiments.calibrate)
"""


def test_every_public_name_is_importable_typed_and_listed():
    for name in pixelbayes.__all__:
        assert getattr(pixelbayes, name) is not None
    assert {*pixelbayes._MODULES, "__version__"} == set(pixelbayes.__all__)
    assert set(pixelbayes.__all__) <= set(dir(pixelbayes))
    with pytest.raises(AttributeError, match="module 'pixelbayes' has no attribute 'lod'"):
        _ = pixelbayes.lod


@pytest.mark.slow
def test_a_type_checker_knows_the_type_of_everything_a_user_program_calls(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--cache-dir",
        str(tmp_path / "cache"),
        str(program),
    ]
    # mypy does not follow the import hook of an editable installation
    environment = os.environ | {"MYPYPATH": str(Path(pixelbayes.__file__).parents[1])}
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    revealed = [line.partition("Revealed type is ")[2] for line in result.stdout.splitlines() if "Revealed" in line]
    assert len(revealed) == PROGRAM.count("reveal_type(")
    assert not [line for line in revealed if "Any" in line]
    assert "error" not in result.stdout
