"""The files of a run folder. Every module that reads or writes one takes its path from here."""

from dataclasses import dataclass
from pathlib import Path

FIGURE_FORMATS = (".png", ".svg")


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run folder, or of the folder of one evaluation, which has the same results.

    >>> RunFolder(Path("runs/pets")).best.as_posix()
    'runs/pets/best.safetensors'
    """

    path: Path

    @property
    def best(self) -> Path:
        """The best weights on validation."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """The weights of the last epoch."""
        return self.path / "last.safetensors"

    @property
    def teacher(self) -> Path:
        """The run folder of the dedicated classifier that was trained for this run."""
        return self.path / "teacher"

    @property
    def resume(self) -> Path:
        """The training state to resume from."""
        return self.path / "resume.ckpt"

    @property
    def config(self) -> Path:
        """The config of the run."""
        return self.path / "config.yaml"

    @property
    def data(self) -> Path:
        """The summary of the data, with its fingerprint."""
        return self.path / "data.json"

    @property
    def history(self) -> Path:
        """Metrics per epoch."""
        return self.path / "history.csv"

    @property
    def wandb_id(self) -> Path:
        """The id of the run at Weights & Biases, if it is logged there."""
        return self.path / "wandb-id.txt"

    @property
    def range_test(self) -> Path:
        """The loss at each learning rate that was tried before the run."""
        return self.path / "range_test.csv"

    @property
    def metrics(self) -> Path:
        """Metrics of one split."""
        return self.path / "metrics.json"

    @property
    def metrics_table(self) -> Path:
        """The same metrics, those that are single values."""
        return self.path / "metrics.csv"

    @property
    def predictions(self) -> Path:
        """The prediction of every image."""
        return self.path / "predictions.csv"

    @property
    def quality(self) -> Path:
        """Sample quality."""
        return self.path / "quality.json"

    @property
    def about(self) -> Path:
        """Description, command, versions and other facts."""
        return self.path / "about.json"

    @property
    def page(self) -> Path:
        """The report."""
        return self.path / "index.html"

    @property
    def figures(self) -> Path:
        """Folder of plots, each as PNG and SVG."""
        return self.path / "figures"

    @property
    def samples(self) -> Path:
        """Folder of sample grids in a run, of samples in an evaluation."""
        return self.path / "samples"

    @property
    def evaluations(self) -> Path:
        """Folder with one folder per evaluation."""
        return self.path / "evaluation"

    @property
    def sweep(self) -> Path:
        """The record of a sweep, in the folder of the sweep."""
        return self.path / "sweep.json"

    @property
    def failure(self) -> Path:
        """Why a run of a comparison failed."""
        return self.path / "failure.txt"

    @property
    def log(self) -> Path:
        """Messages of a run that a comparison started in its own process."""
        return self.path / "log.txt"

    @property
    def results(self) -> tuple[Path, ...]:
        """The files that a measurement writes, besides the plots."""
        return self.metrics, self.metrics_table, self.predictions, self.quality, self.about, self.page
