"""The report of runs, composed from what their folders hold: neither data nor network are needed."""

from pixelbayes.report.compose import run_report
from pixelbayes.report.run_record import Record

__all__ = ["Record", "run_report"]
