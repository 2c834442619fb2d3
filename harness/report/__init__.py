"""Frames -> Markdown, CSV and figures. Loads none of torch, ray, tensorflow or gin."""

from harness.report.build import build_report

__all__ = ["build_report"]
