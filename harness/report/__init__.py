"""Frames -> Markdown, HTML, CSV and figures. Loads none of torch, ray, tensorflow or gin."""
