"""`report`; the other commands of this module are tested with what they call, in tests/experiments."""

from pathlib import Path

from pixelbayes.cli import main


def test_a_report_shows_several_runs_side_by_side(finished_run, classifier_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(finished_run), str(classifier_run)]) == 0
    (page,) = Path("runs").glob("*-report/index.html")
    assert f"open {page}\n" == capsys.readouterr().out
    assert all(name in page.read_text() for name in (finished_run.name, classifier_run.name))


def test_a_report_of_one_run_may_be_written_to_any_file(finished_run, tmp_path):
    assert main(["report", str(finished_run), "--out", str(tmp_path / "deep/one.html")]) == 0
    assert (tmp_path / "deep/one.html").is_file()
