"""Reads images and renders results, one request a line. `python -m workers.images` (see emserve.imaging)."""

import argparse
import io
import logging
import math
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache

from emserve import imaging
from emserve.errors import EmserveError, StorageFull
from emserve.imaging import CopySlices, Decode, Inspect, Render, RenderChunk, RenderPart, Request, Result
from emserve.lineage import die_with_parent
from emserve.logs import about, configure
from emserve.settings import Settings
from emserve.storage import is_full, open_store
from workers.images.decode import decode
from workers.images.grey import Limits
from workers.images.headers import inspect
from workers.images.render import render, render_chunk, render_part
from workers.images.stored_file import open_input
from workers.images.working_copy import copy_slices

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Answers requests until the end of standard input."""
    parser = argparse.ArgumentParser(prog="python -m workers.images")
    parser.add_argument("--memory-bytes", type=int, required=True)
    parser.add_argument("--cpu-seconds", type=int, required=True)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when this process ends
    die_with_parent()
    configure(Settings().log_format)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it says is about users' files
    limit_memory(options.memory_bytes)
    try:
        _serve(_claim_output(), options.cpu_seconds)
    except BrokenPipeError:  # the parent died before this process could ask the kernel to die with it
        log.info("the parent is gone; ending")


def _serve(answers: io.FileIO, cpu_seconds: int) -> None:
    _send(answers, imaging.Ready())
    for line in sys.stdin.buffer:
        allow_cpu(cpu_seconds)
        request = imaging.REQUEST.validate_json(line)
        with about(**request.traces):
            answer = answer_to(request)
        _send(answers, answer)
        if isinstance(answer, imaging.Exhausted):
            return  # a heap that has been full is in pieces; a new process begins with a whole one


def answer_to(
    request: Request,
) -> imaging.Done | imaging.Refused | imaging.Exhausted | imaging.Crashed:
    """Carries out `request`; whatever goes wrong becomes an answer."""
    try:
        return imaging.Done(result=_carry_out(request))
    except EmserveError as error:
        return imaging.Refused.of(error)
    except MemoryError:
        return imaging.Exhausted()
    except Exception as error:
        if is_full(error):
            return imaging.Refused.of(
                StorageFull("the decoded image" if isinstance(request, Decode | CopySlices) else "a result")
            )
        log.exception("a request failed: %s", request.kind)
        return imaging.Crashed()


_opened = lru_cache(maxsize=1)(open_store)


def _carry_out(request: Request) -> Result:
    store = _opened(request.storage_url)
    if isinstance(request, Render):
        return render(store, request)
    if isinstance(request, RenderPart):
        return render_part(store, request)
    if isinstance(request, RenderChunk):
        return render_chunk(store, request)
    with open_input(store, request.key) as file:
        if isinstance(request, Inspect):
            return inspect(
                file, request.source, Limits(request.max_pixels, request.max_voxels), request.max_pages
            )
        if isinstance(request, CopySlices):
            return copy_slices(file, request.source, request.out, request.begin)
        return decode(file, request.source, request.out)


def limit_memory(size_bytes: int) -> None:
    """Bounds this process's address space, where the system can."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError, OSError):  # macOS
        resource.setrlimit(resource.RLIMIT_AS, (size_bytes, size_bytes))


def allow_cpu(seconds: int) -> None:
    """Gives this process `seconds` more of CPU time; SIGXCPU ends it after that."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(usage.ru_utime + usage.ru_stime) + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard < 0 else min(soft, hard), hard))


def _claim_output() -> io.FileIO:
    """Standard output for answers alone: what a library prints goes to standard error."""
    answers = io.FileIO(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _send(
    answers: io.FileIO,
    answer: imaging.Ready | imaging.Done | imaging.Refused | imaging.Exhausted | imaging.Crashed,
) -> None:
    rest = memoryview(answer.model_dump_json().encode() + b"\n")
    while rest:
        rest = rest[answers.write(rest) :]


if __name__ == "__main__":
    main()
