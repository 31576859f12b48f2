"""`python -m service.write_openapi FILE` writes the OpenAPI document that the code describes."""

import json
import sys
from pathlib import Path

from emserve.settings import Settings
from service.app import create_app


def document() -> str:
    """The document as it is committed: stable order, readable."""
    return json.dumps(create_app(Settings()).openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document())
