import pytest
from measured import trained_resnet


@pytest.fixture
def classifier():
    return trained_resnet()
