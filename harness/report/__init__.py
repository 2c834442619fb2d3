"""Frames -> Markdown, CSV and figures. Loads none of torch, ray, tensorflow or gin."""

from harness.report.build import BuiltReport, build_report

__all__ = ["BuiltReport", "build_report"]
