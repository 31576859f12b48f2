"""Parts of the package that not every machine needs."""


def how_to_install(*extras: str) -> str:
    """What brings them where they are missing, for a message: emserve is installed from its source."""
    return f"`pip install '.[{','.join(extras)}]'` in the folder of emserve's source"
