"""Side by side, in turn: programs as they are, and under perfvisor and its neighbours.

Runs of all recorders are interleaved (one round = each of them once, in a new order each time),
each is compared with the native run of its own round, and the median of these ratios is what is
printed: a machine that slows down for a while slows all of them. There is no limit on any time
here; whether a number is good is for its reader.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from statistics import geometric_mean, median

import recorders
import tables
from measure import Failed, adopt_orphans, fresh_place, run, spread
from recorders import NATIVE
from workloads import PROGRAMS, STARTUPS

HERE = Path(__file__).resolve().parent
MICRO_CALLS = {"empty": 50_000_000, "malloc": 50_000_000, "mutex": 50_000_000, "thread": 4_000,
               "getppid": 5_000_000, "read": 5_000_000}
# Loops of system calls, which a recorder of library calls does not see.
SYSCALL_LOOPS = ("getppid", "read")
MEMORY_THREADS = 200
MEMORY_APIS = (10, 100)


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--perfvisor", help="the binary to measure (set by scripts/bench)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, three rounds")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="only workloads whose name holds NAME (may be repeated)")
    parser.add_argument("--recorder", action="append", default=[], metavar="NAME",
                        help="only recorders whose name holds NAME (may be repeated)")
    parser.add_argument("--runs", type=int, help="rounds (default 5; --quick 3)")
    parser.add_argument("--json", metavar="FILE", help="also write every sample to FILE")
    parser.add_argument("--work", metavar="DIR", help="keep inputs and traces below DIR")
    parser.add_argument("--list", action="store_true", help="print the workloads and end")
    chosen = parser.parse_args()
    if chosen.runs is not None and chosen.runs < 1:
        parser.error("--runs must be at least 1")
    return chosen


def wanted(name, filters):
    """Whether `name` passes `--only` or `--recorder`."""
    return not filters or any(word in name for word in filters)


class Bench:
    """The settings of this run and all samples it took."""

    def __init__(self, chosen, work):
        self.chosen = chosen
        self.work = work
        self.runs = chosen.runs or (3 if chosen.quick else 5)
        self.size = 0.1 if chosen.quick else 1.0
        self.samples = []
        self.results = {"micro": [], "programs": [], "startup": [], "memory": [], "report": []}
        self.known = self.find_recorders()

    def find_recorders(self):
        """The recorders this machine has, in the order of the tables' columns."""
        found = []
        if self.chosen.perfvisor:
            binary = self.chosen.perfvisor
            found += [
                recorders.perfvisor(binary, "perfvisor"),
                recorders.perfvisor(binary, "--only syscalls", "--only", "syscalls",
                                    system_calls_only=True),
                recorders.perfvisor(binary, "--only apis", "--only", "apis"),
                recorders.perfvisor(binary, "perfvisor --exact", "--exact"),
                recorders.perfvisor(binary, "perfvisor --events", "--events",
                                    event_files="e*.pv"),
            ]
        found += [recorders.uftrace(), recorders.ltrace(), recorders.perf_trace()]
        return [r for r in found if r is not None and wanted(r.name, self.chosen.recorder)]

    def note(self, text):
        """Progress, where it does not disturb the tables."""
        print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)

    def rounds(self, recorder_list, take, runs=None):
        """Interleaved rounds; gives {name: [(sample, native sample of that round)]}, failures.

        `take(recorder, share)` measures once. A recorder that fails is left out of later rounds.
        """
        pairs = {r.name: [] for r in recorder_list}
        failures = {}
        for number in range(runs or self.runs):
            now = [r for r in recorder_list
                   if r.name not in failures and (r.rounds is None or number < self.few(r))]
            shares = {r.share for r in now} | {1.0}
            turns = [(r, r.share) for r in now] + [(NATIVE, share) for share in shares]
            random.Random(number).shuffle(turns)
            got = {}
            for recorder, share in turns:
                try:
                    got[recorder.name, share] = take(recorder, share)
                except Failed as failure:
                    if recorder is NATIVE:
                        raise
                    failures[recorder.name] = str(failure)
            for r in now:
                if (r.name, r.share) in got:
                    pairs[r.name].append((got[r.name, r.share], got[NATIVE.name, r.share]))
        return pairs, failures

    def few(self, recorder):
        """Rounds of a recorder so slow that it does not take part in all of them."""
        return 1 if self.chosen.quick else recorder.rounds

    def keep(self, section, workload, recorder, pairs):
        """Stores the samples as they were taken."""
        for number, (sample, native) in enumerate(pairs):
            self.samples.append({"section": section, "workload": workload, "recorder": recorder,
                                 "round": number, "value": sample, "native": native})

    def micro(self):
        """Loops of one library call: what recording adds to each, in ns."""
        for name, full in MICRO_CALLS.items():
            if not wanted(f"micro {name}", self.chosen.only):
                continue
            self.note(f"micro {name}")
            event_bytes = {}

            def take(recorder, share):
                # A tracer with stops per call cannot do millions of them, whatever its share.
                calls = 2 * max(500, round(full * self.size * share / (10 if share < 1 else 1)) // 2)
                with fresh_place(self.work) as place:
                    sample = run(recorder, [str(self.work / "micro"), name, str(calls)], place)
                    done, cpu_ns, wall_ns = map(int, sample.output.split()[-3:])
                    if recorder.event_files:
                        written = recorders.bytes_below(place, recorder.event_files)
                        event_bytes.setdefault(recorder.name, []).append(written / done)
                return {"calls": done, "cpu_ns": cpu_ns / done, "wall_ns": wall_ns / done}

            able = [r for r in self.known if r.sees(system_calls=name in SYSCALL_LOOPS)]
            pairs, failures = self.rounds(able, take)
            row = {"name": name, "columns": {}}
            for r in able:
                if not pairs[r.name]:
                    row["columns"][r.name] = {"failed": failures[r.name]}
                    continue
                # A tracer's time passes beside the process; a created thread's may overlap.
                clock = "wall_ns" if r.outside else "cpu_ns"
                added = [a[clock] - b[clock] for a, b in pairs[r.name]]
                row["native_ns"] = median(b["cpu_ns"] for _, b in pairs[r.name])
                row["columns"][r.name] = {"added_ns": spread(added)}
                if r.name in event_bytes:
                    row["columns"][r.name]["bytes_per_event"] = median(event_bytes[r.name])
                self.keep("micro", name, r.name, pairs[r.name])
            self.results["micro"].append(row)

    def programs(self):
        """Real programs: user + system CPU time against native."""
        for workload in PROGRAMS:
            if not wanted(workload.name, self.chosen.only):
                continue
            if workload.missing():
                self.note(f"{workload.name}: left out, not installed: {workload.missing()}")
                continue
            self.note(workload.name)

            def take(recorder, share):
                with fresh_place(self.work) as place:
                    sample = workload.run(recorder, self.size * share, place, self.work)
                    return {"cpu_s": sample.cpu_s, "wall_s": sample.wall_s,
                            "output": sample.digest()}

            pairs, failures = self.rounds(self.known, take)
            row = {"name": workload.name, "columns": {}}
            for r in self.known:
                if not pairs[r.name]:
                    row["columns"][r.name] = {"failed": failures[r.name]}
                    continue
                column = {"cpu_ratio": spread([a["cpu_s"] / b["cpu_s"] for a, b in pairs[r.name]]),
                          "wall_ratio": spread([a["wall_s"] / b["wall_s"] for a, b in pairs[r.name]]),
                          "same_output": all(a["output"] == b["output"] for a, b in pairs[r.name])}
                if r.share == 1.0:
                    row["native_s"] = median(b["cpu_s"] for _, b in pairs[r.name])
                row["columns"][r.name] = column
                self.keep("programs", workload.name, r.name, pairs[r.name])
            self.results["programs"].append(row)
        means = {}
        for r in self.known:
            ratios = [row["columns"][r.name]["cpu_ratio"]["median"]
                      for row in self.results["programs"] if "cpu_ratio" in row["columns"][r.name]]
            if ratios:
                means[r.name] = {"geometric_mean": geometric_mean(ratios), "programs": len(ratios)}
        self.results["program_means"] = means

    def startup(self):
        """Programs that end at once: wall time over native, in ms."""
        known = list(self.known)
        if self.chosen.perfvisor:
            library = subprocess.run([self.chosen.perfvisor, "hook-path"], check=True,
                                     capture_output=True, text=True).stdout.strip()
            known.insert(1, recorders.preload(library, "LD_PRELOAD"))
        known = [r for r in known if wanted(r.name, self.chosen.recorder)]
        for workload in STARTUPS:
            if not wanted(f"start-up {workload.name}", self.chosen.only) or workload.missing():
                continue
            self.note(f"start-up {workload.name}")

            def take(recorder, _share):
                with fresh_place(self.work) as place:
                    sample = workload.run(recorder, 1.0, place, self.work)
                    return {"wall_ms": sample.wall_s * 1e3, "cpu_ms": sample.cpu_s * 1e3}

            pairs, failures = self.rounds(known, take, runs=self.runs * 3)
            row = {"name": workload.name, "columns": {}}
            for r in known:
                if not pairs[r.name]:
                    row["columns"][r.name] = {"failed": failures[r.name]}
                    continue
                row["native_ms"] = median(b["wall_ms"] for _, b in pairs[r.name])
                row["columns"][r.name] = {
                    "added_ms": spread([a["wall_ms"] - b["wall_ms"] for a, b in pairs[r.name]])}
                self.keep("startup", workload.name, r.name, pairs[r.name])
            self.results["startup"].append(row)

    def memory(self):
        """Resident memory that each further thread costs, over native."""
        if not wanted("memory", self.chosen.only):
            return
        self.note("memory")
        able = [r for r in self.known if not r.outside and not r.system_calls_only]
        for apis in MEMORY_APIS:

            def take(recorder, _share):
                got = []
                for threads in (0, MEMORY_THREADS):
                    with fresh_place(self.work) as place:
                        argv = [str(self.work / "memory"), str(threads), str(apis)]
                        got.append(int(run(recorder, argv, place).output.split()[-1]))
                return {"kib": (got[1] - got[0]) / MEMORY_THREADS}

            pairs, failures = self.rounds(able, take, runs=min(self.runs, 3))
            row = {"name": f"{apis} APIs", "columns": {}}
            for r in able:
                if not pairs[r.name]:
                    row["columns"][r.name] = {"failed": failures[r.name]}
                    continue
                row["native_kib"] = median(b["kib"] for _, b in pairs[r.name])
                row["columns"][r.name] = {
                    "added_kib": spread([a["kib"] - b["kib"] for a, b in pairs[r.name]])}
                self.keep("memory", row["name"], r.name, pairs[r.name])
            self.results["memory"].append(row)

    def report(self):
        """How fast a recording of every call is read, modelled and reported."""
        if not wanted("report", self.chosen.only):
            return
        self.note("report")
        readers = {"perfvisor --events": [self.chosen.perfvisor, "report"],
                   "uftrace": ["uftrace", "report", "--no-pager", "-d"]}
        calls = round(20_000_000 * self.size)
        for recorder in self.known:
            if recorder.name not in readers:
                continue
            with fresh_place(self.work) as place:
                run(recorder, [str(self.work / "micro"), "empty", str(calls)], place)
                argv = [*readers[recorder.name], str(place)]
                took = [run(NATIVE, argv, place) for _ in range(self.runs)]
            self.results["report"].append(
                {"name": recorder.name, "events": calls, "wall_s": spread([t.wall_s for t in took]),
                 "cpu_s": spread([t.cpu_s for t in took])})


def build_micro(work):
    """Compiles the loops that are measured; plain -O2, as a distribution would."""
    compiler = [os.environ.get("CC", "gcc"), "-O2", "-Wall", "-Wextra"]
    subprocess.run([*compiler, "-shared", "-fPIC", "-o", str(work / "libcallee.so"),
                    str(HERE / "callee.c")], check=True)
    for name in ("micro", "memory"):
        subprocess.run([*compiler, "-o", str(work / name), str(HERE / f"{name}.c"), "-pthread",
                        f"-L{work}", "-lcallee", "-Wl,-rpath,$ORIGIN"], check=True)


def main():
    """Measures what was asked for and prints it."""
    chosen = arguments()
    if chosen.list:
        names = [f"micro {n}" for n in MICRO_CALLS] + [w.name for w in PROGRAMS]
        names += [f"start-up {w.name}" for w in STARTUPS] + ["memory", "report"]
        print("\n".join(names))
        return
    adopt_orphans()
    if chosen.work:
        Path(chosen.work).mkdir(parents=True, exist_ok=True)
    with fresh_place(chosen.work) as place:
        work = Path(chosen.work) if chosen.work else place
        work.mkdir(parents=True, exist_ok=True)
        build_micro(work)
        bench = Bench(chosen, work)
        for section in (bench.micro, bench.programs, bench.startup, bench.memory, bench.report):
            section()
    tables.show(bench)
    if chosen.json:
        document = {"runs": bench.runs, "size": bench.size, "machine": tables.machine(),
                    "results": bench.results, "samples": bench.samples}
        Path(chosen.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
