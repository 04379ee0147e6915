"""What the browser loads: templates, styles and ES modules; no logic about studies."""

from pathlib import Path

static_folder = Path(__file__).parent / "static"
templates_folder = Path(__file__).parent / "templates"
