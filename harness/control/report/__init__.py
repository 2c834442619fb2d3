"""The report of a control experiment: report.html and report.md of one view, its figures, its numbers."""
