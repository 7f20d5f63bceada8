import pytest

from pixelbayes.checkpoints.provenance import Provenance


@pytest.mark.parametrize(
    ("provenance", "known"),
    [
        (Provenance(), None),
        (Provenance(config={"training": {"label_dropout": 0.1}}), True),
        (Provenance(config={"training": {"label_dropout": 0.0}}), False),
        (Provenance(config={"training": {"label_dropout": 0.0}}, without_labels=True), True),  # unlabelled images
        (Provenance(imported_from="course.pth"), False),
    ],
)
def test_a_network_knows_the_unconditional_density_if_it_was_trained_without_labels(provenance, known):
    assert provenance.knows_unconditional is known
