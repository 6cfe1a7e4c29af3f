"""The recorders that are compared: how each one is put before a command.

A recorder does not know what it records; a workload does not know by whom it is recorded.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional


@dataclass(frozen=True)
class Recorder:
    """One way to run a command under observation."""

    name: str
    # (argv of the program, directory that does not exist yet) → argv to start.
    wrap: Callable[[list, Path], list]
    # Settings for the recorder, added to the environment; receives the same directory.
    settings: Callable[[Path], dict] = field(default=lambda _place: {})
    # Share of a workload's full work that is asked of it: a slow recorder gets less of it, and
    # is compared with a native run of just as little.
    share: float = 1.0
    # Most rounds it takes part in; None = all.
    rounds: Optional[int] = None
    # Its time passes outside the recorded process, so only wall time tells what a call costs.
    outside: bool = False
    # Files (glob below the directory) that hold one entry per call; "" = it keeps none.
    event_files: str = ""
    # It sees system calls only: loops of library calls say nothing about it.
    system_calls_only: bool = False
    # It sees library calls only.
    library_calls_only: bool = False

    def sees(self, system_calls):
        """Whether it records loops of system calls, or of library calls."""
        return not (self.library_calls_only if system_calls else self.system_calls_only)


NATIVE = Recorder("native", lambda argv, _place: argv)


def perfvisor(binary, name, *flags, event_files="", system_calls_only=False):
    """`perfvisor run` with `flags`, the report left out: it is measured by itself."""

    def wrap(argv, place):
        return [binary, "run", "--no-report", *flags, "-o", str(place), "--", *argv]

    return Recorder(name, wrap, event_files=event_files, system_calls_only=system_calls_only,
                    library_calls_only="apis" in flags)


def preload(library, name):
    """The hook library by LD_PRELOAD alone, without our binary."""

    def settings(place):
        return {"LD_PRELOAD": library, "PERFVISOR_OUT": str(place), "PERFVISOR_QUIET": "1"}

    return Recorder(name, lambda argv, _place: argv, settings=settings)


def uftrace():
    """uftrace on a program that was not compiled for it: library calls only."""
    if shutil.which("uftrace") is None:
        return None

    def wrap(argv, place):
        return ["uftrace", "record", "--force", "--no-pager", "-d", str(place), *argv]

    return Recorder("uftrace", wrap, share=0.2, event_files="*.dat", library_calls_only=True)


def ltrace():
    """ltrace, only counting: every call is a breakpoint and a stop under ptrace."""
    if shutil.which("ltrace") is None:
        return None

    def wrap(argv, place):
        place.mkdir()
        return ["ltrace", "-f", "-c", "-o", str(place / "summary"), *argv]

    return Recorder("ltrace", wrap, share=0.004, rounds=3, outside=True, library_calls_only=True)


def perf_trace():
    """perf trace, summary only: system calls through the kernel's tracepoints."""
    if shutil.which("perf") is None or os.system("perf trace -s true >/dev/null 2>&1") != 0:
        return None

    def wrap(argv, place):
        place.mkdir()
        return ["perf", "trace", "-s", "-o", str(place / "summary"), "--", *argv]

    return Recorder("perf trace", wrap, share=0.02, rounds=3, outside=True, system_calls_only=True)


def bytes_below(place, pattern):
    """Bytes of disk (not of length: files are sparse) that `pattern` names below `place`."""
    return sum(path.stat().st_blocks * 512 for path in Path(place).rglob(pattern))
