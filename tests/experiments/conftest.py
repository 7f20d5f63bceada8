import pytest

from pixelbayes.data import loading


@pytest.fixture
def decodings(monkeypatch):
    """A list that grows by one entry whenever the images of a source are decoded."""
    calls, decode = [], loading.decode

    def counted(*inputs, **options):
        calls.append(options)
        return decode(*inputs, **options)

    monkeypatch.setattr(loading, "decode", counted)
    return calls
