import io
import sys

from pixelbayes.utils.progress import no_progress, track, tracker


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_every_tracker_yields_the_items_in_order(monkeypatch):
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", stream)
        for wrapped in (no_progress(range(5)), tracker("counting")(range(5)), track(iter(range(5)), "counting", 5)):
            assert list(wrapped) == list(range(5))


def test_a_bar_appears_on_a_terminal_only(monkeypatch):
    for stream, appears in ((io.StringIO(), False), (Terminal(), True)):
        monkeypatch.setattr(sys, "stderr", stream)
        list(track(range(5), "counting"))
        assert ("counting" in stream.getvalue()) == appears
