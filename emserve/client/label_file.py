"""The label map out of an .npy file."""

from typing import IO

import numpy as np

from emserve.client.errors import UnexpectedAnswer
from emserve.client.segmentation import Labels


def read_npy(file: IO[bytes]) -> Labels:
    """The array in `file`, from its start; never a pickle. Raises UnexpectedAnswer for anything else."""
    file.seek(0)
    try:
        labels: Labels = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UnexpectedAnswer("The labels that were asked for as .npy are no such file.") from error
    return labels
