"""Prints what was measured, as tables that can stand in a README."""

import os
import platform


def machine():
    """The machine in one line: processor, cores, kernel, C library."""
    name = platform.processor() or platform.machine()
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    libc = " ".join(part for part in platform.libc_ver() if part)
    return f"{name}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}, {libc}"


def table(head, rows):
    """A Markdown table whose columns line up, so that it reads as text as well."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells):
        first, *rest = [cell.ljust(w) if i == 0 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(cells, widths))]
        return "| " + " | ".join([first, *rest]) + " |"

    rule = ["-" * (widths[0] + 2)] + ["-" * (w + 1) + ":" for w in widths[1:]]
    print(line(head))
    print("|" + "|".join(rule) + "|")
    for row in rows:
        print(line(row))
    print()


def columns_of(rows):
    """The recorders that any row has, in the order of their first appearance."""
    names = []
    for row in rows:
        names += [name for name in row["columns"] if name not in names]
    return names


def section(title, rows, native, write_native, cell):
    """One table: a native column, then one column a recorder."""
    if not rows:
        return
    names = columns_of(rows)
    print(title + "\n")
    body = []
    for row in rows:
        cells = [row["name"], write_native(row[native]) if native in row else ""]
        for name in names:
            column = row["columns"].get(name)
            if column is None:
                cells.append("")
            elif "failed" in column:
                cells.append("failed")
            else:
                cells.append(cell(column))
        body.append(cells)
    table(["", "native", *names], body)
    for row in rows:
        for name, column in row["columns"].items():
            if "failed" in column:
                print(f"{row['name']} under {name} failed: {column['failed']}")
            if column.get("same_output") is False:
                print(f"{row['name']} under {name}: its output differs from native")


def ns(value):
    """Nanoseconds with as many digits as mean something."""
    return f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def added_ns(column):
    """Median and quartiles of what a call costs more."""
    added = column["added_ns"]
    if added["runs"] < 2:
        return ns(added["median"])
    return f"{ns(added['median'])} ({ns(added['p25'])}–{ns(added['p75'])})"


def ratio(column):
    """Median and quartiles of a ratio."""
    got = column["cpu_ratio"]
    digits = 1 if got["median"] >= 10 else 3
    return f"{got['median']:.{digits}f} ({got['p25']:.{digits}f}–{got['p75']:.{digits}f})"


def show_means(bench):
    """Geometric means of the program ratios, and the worst of each recorder."""
    for name, mean in bench.results.get("program_means", {}).items():
        worst = max((row["columns"][name]["cpu_ratio"]["median"], row["name"])
                    for row in bench.results["programs"] if "cpu_ratio" in row["columns"][name])
        print(f"geometric mean, {name}: {mean['geometric_mean']:.3f} over {mean['programs']} "
              f"programs; highest {worst[0]:.3f} ({worst[1]})")
    if bench.results["programs"]:
        print()


def show(bench):
    """All tables, each with what it means."""
    results = bench.results
    print(f"\n{machine()}; {bench.runs} interleaved rounds; median (quartiles)\n")
    section("Added ns per call (process CPU time; ltrace: wall time)", results["micro"],
            "native_ns", ns, added_ns)
    for row in results["micro"]:
        for name, column in row["columns"].items():
            if "bytes_per_event" in column:
                print(f"{row['name']}, {name}: {column['bytes_per_event']:.1f} bytes per call")
    section("\nUser + system CPU time, ratio to native", results["programs"], "native_s",
            lambda s: f"{s:.2f} s", ratio)
    slow = [f"{r.name} {r.share:g}" for r in bench.known if r.share != 1.0]
    if results["programs"] and slow:
        print(f"share of the work given to slow recorders, native likewise: {', '.join(slow)}")
    show_means(bench)
    section("Start-up, added wall ms", results["startup"], "native_ms", lambda ms: f"{ms:.1f} ms",
            lambda c: f"{c['added_ms']['median']:.1f} (min {c['added_ms']['min']:.1f})")
    section("Resident memory per further thread, added KiB", results["memory"], "native_kib",
            lambda kib: f"{kib:.1f} KiB", lambda c: f"{c['added_kib']['median']:.1f}")
    for row in results["report"]:
        rate = row["events"] / row["wall_s"]["median"] / 1e6
        print(f"report of {row['events'] / 1e6:g} M events, {row['name']}: "
              f"{row['wall_s']['median']:.2f} s wall, {row['cpu_s']['median']:.2f} s CPU, "
              f"{rate:.1f} M events/s")
