"""Reports: tables and pictures of a run on one self-contained HTML page."""

from slabkit.report.charts import bar_chart, histogram, line_charts
from slabkit.report.page import Page

__all__ = ["Page", "bar_chart", "histogram", "line_charts"]
