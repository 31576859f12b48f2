"""`python -m emserve.cli` is `emserve`."""

from emserve.cli import app

app(prog_name="emserve")
