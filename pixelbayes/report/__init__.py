"""The report of runs, composed from the files of their folders."""

from pixelbayes.report.compose import run_report
from pixelbayes.report.run_record import RunRecord

__all__ = ["RunRecord", "run_report"]
