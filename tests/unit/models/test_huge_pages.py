"""What the service tells torch about memory is heeded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_MODES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_TAKE_64_MIB = """
import resource, torch
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.empty(1).fill_(1)
before = faults()
torch.empty(1 << 24).fill_(1)
print(faults() - before)
"""
_SMALL_PAGES = (64 << 20) // os.sysconf("SC_PAGE_SIZE")

needs_huge_pages = pytest.mark.skipif(
    not _MODES.exists() or "[never]" in _MODES.read_text(), reason="this system has no huge pages"
)


@needs_huge_pages
def test_memory_for_large_maps_is_not_mapped_page_by_page() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TAKE_64_MIB],
        env={**os.environ, "THP_MEM_ALLOC_ENABLE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < _SMALL_PAGES / 4
