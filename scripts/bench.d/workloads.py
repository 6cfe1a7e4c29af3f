"""The real programs: how each is fed, and how a server is loaded and stopped.

Every workload does a fixed amount of work, given by its size and the recorder's share of it.
"""

import os
import random
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from measure import Failed, finish, run, start

PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else "python3"

JSON_PROGRAM = """
import json, sys
data = [{"id": i, "name": "item %d" % i, "tags": ["a", str(i)], "x": i / 7}
        for i in range(100)]
for _ in range(int(sys.argv[1])):
    text = json.dumps(data, indent=1)
    assert json.loads(text) == data
print(len(text))
"""


@dataclass(frozen=True)
class Workload:
    """One program that is measured; `run(recorder, share, place, work)` gives a sample."""

    name: str
    needs: tuple
    run: Callable

    def missing(self):
        """The programs it needs that are not installed."""
        return [name for name in self.needs if shutil.which(name) is None]


def once(path, write):
    """`path`, written by `write(file)` if it is not there yet."""
    if not path.exists():
        part = path.with_suffix(".part")
        with open(part, "w", encoding="ascii") as file:
            write(file)
        part.rename(path)
    return path


def text_file(work, share):
    """Text that compresses as text does: words of a small vocabulary, the same on each machine."""

    def write(file):
        source = random.Random(7)
        words = ["".join(source.choices("abcdefghijklmnop", k=source.randint(2, 9)))
                 for _ in range(4000)]
        for _ in range(max(1, round(40_000 * share))):
            file.write(" ".join(source.choices(words, k=12)) + "\n")

    return once(work / f"text-{share:.4g}", write)


def run_sqlite(recorder, share, place, work):
    """Inserts rows one statement each, in one transaction, and selects from them."""
    rows = max(1, round(200_000 * share))

    def write(file):
        file.write("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, x REAL);\nBEGIN;\n")
        for i in range(rows):
            file.write(f"INSERT INTO t VALUES({i}, 'name {i * 7919 % rows}', {i / 3:.3f});\n")
        file.write("COMMIT;\nCREATE INDEX n ON t(name);\n")
        file.write("SELECT count(*), sum(x) FROM t;\n")
        file.write(f"SELECT * FROM t WHERE id % 5 = 0 ORDER BY name LIMIT {rows // 5};\n")

    script = once(work / f"insert-{share:.4g}.sql", write)
    return run(recorder, ["sqlite3", ":memory:"], place, stdin_path=script)


def run_json(recorder, share, place, _work):
    """Python's json, to text and back."""
    return run(recorder, [PYTHON, "-c", JSON_PROGRAM, str(max(1, round(1500 * share)))], place)


def run_xz(recorder, share, place, work):
    """Compresses on two threads, in blocks small enough that both have work."""
    size = ["--block-size=1MiB", "-2"]
    return run(recorder, ["xz", "-T2", *size, "-c", str(text_file(work, share))], place)


def run_pigz(recorder, share, place, work):
    """Compresses on two threads; being fast, it gets five times the text."""
    return run(recorder, ["pigz", "-p2", "-n", "-c", str(text_file(work, 5 * share))], place)


def free_port():
    """A TCP port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, child):
    """Returns when somebody accepts on `port`."""
    for _ in range(3000):
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return  # It ended; `finish` says how.
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    child.kill()
    raise Failed("the server did not listen within a minute")


def serve(recorder, argv, place, port, load, stop):
    """Runs a server, loads it, stops it by its own means; the sample is the server's alone."""
    began = time.monotonic()
    child = start(recorder, argv, place, stdout=subprocess.DEVNULL)
    wait_for_port(port, child)
    loaded = subprocess.run(load, capture_output=True, text=True, check=False)
    subprocess.run(stop, capture_output=True, check=False)
    sample = finish(child, began)
    if loaded.returncode != 0:
        raise Failed(f"{load[0]}: exit {loaded.returncode}")
    return sample


def run_redis(recorder, share, place, work):
    """A fixed number of SET and GET by fifty clients."""
    port = str(free_port())
    requests = str(max(100, round(60_000 * share)))
    server = ["redis-server", "--port", port, "--save", "", "--appendonly", "no",
              "--dir", str(work), "--daemonize", "no"]
    load = ["redis-benchmark", "-p", port, "-q", "-n", requests, "-c", "50", "-t", "set,get"]
    stop = ["redis-cli", "-p", port, "shutdown", "nosave"]
    return serve(recorder, server, place, int(port), load, stop)


def run_nginx(recorder, share, place, work):
    """A fixed number of requests for a small file over kept-alive connections."""
    port = free_port()
    root = Path(work) / f"nginx-{port}"
    (root / "html").mkdir(parents=True)
    (root / "html" / "page").write_text("x" * 4096)
    # Root's workers stay root: they must write their trace below a directory of root's.
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "".join(f"{kind}_temp_path {root}/{kind};" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (root / "conf").write_text(
        f"{user} daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error;\n"
        f"events {{ worker_connections 256; }}\n"
        f"http {{ access_log {root}/access; {temporary} keepalive_requests 100000;\n"
        f"server {{ listen 127.0.0.1:{port}; root {root}/html; }} }}\n"
    )
    base = ["nginx", "-p", str(root), "-c", str(root / "conf"), "-e", str(root / "error")]
    requests = str(max(100, round(40_000 * share)))
    load = ["ab", "-q", "-k", "-c", "16", "-n", requests, f"http://127.0.0.1:{port}/page"]
    try:
        return serve(recorder, base, place, port, load, [*base, "-s", "quit"])
    finally:
        shutil.rmtree(root, ignore_errors=True)


PROGRAMS = [
    Workload("sqlite3", ("sqlite3",), run_sqlite),
    Workload("python3 json", (PYTHON,), run_json),
    Workload("xz -T2", ("xz",), run_xz),
    Workload("pigz -p2", ("pigz",), run_pigz),
    Workload("redis-server", ("redis-server", "redis-benchmark", "redis-cli"), run_redis),
    Workload("nginx", ("nginx", "ab"), run_nginx),
]

STARTUPS = [
    Workload("true", ("true",), lambda r, _s, place, _w: run(r, ["true"], place)),
    Workload("python3 -c pass", (PYTHON,),
             lambda r, _s, place, _w: run(r, [PYTHON, "-c", "pass"], place)),
]
