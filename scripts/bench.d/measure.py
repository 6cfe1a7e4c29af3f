"""Runs one command under one recorder and says what it used."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles


PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """Makes this process the parent of orphans below it: `perf trace` ends without waiting for
    the command it ran, whose CPU time would go to init and be missing from the sample."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


class Failed(Exception):
    """A command did not end well; says how."""


@dataclass
class Sample:
    """What one run used, itself and all processes below it."""

    cpu_s: float
    wall_s: float
    output: bytes = b""

    def digest(self):
        """Short name of the output, to see whether a recorder changed it."""
        return hashlib.sha256(self.output).hexdigest()[:16]


@contextmanager
def fresh_place(keep_below):
    """A path for a trace that does not exist yet and is gone afterwards."""
    parent = Path(tempfile.mkdtemp(prefix="trace-", dir=keep_below))
    try:
        yield parent / "trace"
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def start(recorder, argv, place, stdin=None, stdout=subprocess.PIPE):
    """Starts `argv` under `recorder`; its messages are kept for the case of failure."""
    errors = tempfile.TemporaryFile()
    environment = {**os.environ, **recorder.settings(place)}
    child = subprocess.Popen(
        recorder.wrap(argv, place), stdin=stdin, stdout=stdout, stderr=errors, env=environment
    )
    child.errors = errors
    return child


def finish(child, began, output=b""):
    """Waits for `child` and returns its sample; `Failed` if it did not end with status 0."""
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - began
    cpu = usage.ru_utime + usage.ru_stime
    while True:
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu += usage.ru_utime + usage.ru_stime
    child.returncode = os.waitstatus_to_exitcode(status)
    child.errors.seek(0)
    said = child.errors.read().decode(errors="replace").strip().splitlines()
    child.errors.close()
    if child.returncode != 0:
        how = f"signal {-child.returncode}" if child.returncode < 0 else f"exit {child.returncode}"
        raise Failed(how + (f" ({said[-1][:90]})" if said else ""))
    return Sample(cpu, wall, output)


def run(recorder, argv, place, stdin_path=None):
    """Runs `argv` to its end."""
    with open(stdin_path or os.devnull, "rb") as stdin:
        began = time.monotonic()
        child = start(recorder, argv, place, stdin)
        with child.stdout:
            output = child.stdout.read()
        return finish(child, began, output)


def spread(values):
    """Median, quartiles, least and greatest of `values`."""
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {
        "median": median(values),
        "p25": low,
        "p75": high,
        "min": min(values),
        "max": max(values),
        "runs": len(values),
    }
