"""From what was measured to ratios, targets and tables."""

import statistics

MEGABYTE = 1024 * 1024
# How the source has changed: the tables food_* of source.sql.
PATTERNS = ("scattered", "appended", "half", "all", "shuffled", "shuffled_scattered")


def median(numbers):
    numbers = [number for number in numbers or [] if number is not None]
    return statistics.median(numbers) if numbers else None


def paired(results, group, one, other):
    """Return the median of one / other over the rounds that have both."""
    seconds = results["seconds"].get(group, {})
    return median([a / b for a, b in zip(seconds.get(one, []), seconds.get(other, []))
                   if a is not None and b is not None])


def ratios(results):
    """Every ratio of the targets and a few more; None where not measured."""
    def ratio(group, one, other):
        return paired(results, group, one, other)

    answer = {
        "dblink refresh / refill, 3 indexes": ratio("big", "dblink refresh i", "ours refill i"),
        "dblink refresh / refill, no index": ratio("big", "dblink refresh n", "ours refill n"),
        "dblink create / first fill, 3 indexes": ratio("big", "dblink create i", "ours first fill i"),
        "dblink create / first fill, no index": ratio("big", "dblink create n", "ours first fill n"),
        "refill / pipe, 3 indexes": ratio("big", "ours refill i", "pipe i"),
        "refill / pipe, no index": ratio("big", "ours refill n", "pipe n"),
        "load (refill, no index) / sink": ratio("big", "ours refill n", "sink n"),
        "dblink refresh / unchanged": ratio("big", "dblink refresh i", "ours unchanged i"),
        "concurrently / unchanged": ratio("big", "dblink concurrently unchanged i", "ours unchanged i"),
        "unchanged / sink": ratio("big", "ours unchanged i", "sink n"),
        "dblink refresh / 1 % scattered": ratio("big", "dblink refresh i", "ours scattered i"),
        "dblink refresh / 1 % appended": ratio("big", "dblink refresh i", "ours appended i"),
        "concurrently / 1 % scattered": ratio("big", "dblink concurrently scattered i", "ours scattered i"),
        "10k rows: refill / dblink refresh, 3 indexes": ratio("ten", "ours refill i", "dblink refresh i"),
        "10k rows: refill / dblink refresh, no index": ratio("ten", "ours refill n", "dblink refresh n"),
        "10k rows: unchanged / dblink refresh": ratio("ten", "ours unchanged i", "dblink refresh i"),
        "4 tenants: dblink one by one / refill with 2 workers":
            ratio("tenants", "dblink 4", "ours refill 4 workers 2"),
        "4 tenants: dblink one by one / unchanged with 2 workers":
            ratio("tenants", "dblink 4", "ours unchanged 4 workers 2"),
        "slices over TLS: dblink / first load": ratio("slices", "dblink tls", "ours tls"),
        "slices over a socket: dblink / first load": ratio("slices", "dblink socket", "ours socket"),
        "keyed table: dblink / first load": ratio("sync", "dblink fill", "ours fill"),
        "keyed table: dblink / snapshot": ratio("sync", "dblink fill", "ours snapshot"),
        "keyed table, 10k changed: dblink and ON CONFLICT / ours":
            ratio("sync", "dblink changed", "ours changed"),
        "first fill: archived / not": ratio("archive", "first fill archived", "first fill"),
        "unchanged: archived / not": ratio("archive", "unchanged archived", "unchanged"),
    }
    answer["roll-up / by hand"] = ratio("rollup", "ours", "by hand")
    answer["roll-up until published / by hand"] = until_published(results)
    answer["1 % of a day: in its year's table / by itself"] = ratio("late", "year", "day")
    for pattern in PATTERNS:
        answer[f"{pattern} / refill"] = ratio("big", f"ours {pattern} i", "ours refill i")
    return answer


class Targets:
    """The issue's table, row by row."""

    def __init__(self, results, found):
        self.results = results
        self.found = found
        self.rows = []

    def add(self, figure, target, parts, word, limits, holds):
        """Add a row: its numbers, how each is written, and what each keeps to."""
        known = [part for part in parts if part is not None]
        measured = " / ".join("not measured" if part is None else word(part) for part in parts)
        met = None
        if len(known) == len(parts):
            met = all(holds(part, limit) for part, limit in zip(parts, limits))
        self.rows.append({"figure": figure, "target": target, "measured": measured, "met": met})

    def faster(self, figure, target, names, limits):
        self.add(figure, target, [self.found[name] for name in names],
                 lambda x: f"{x:.2f}", limits, lambda x, limit: x >= limit)

    def at_most(self, figure, target, parts, limits, unit="", digits=2):
        self.add(figure, target, parts, lambda x: f"{x:.{digits}f}{unit}", limits,
                 lambda x, limit: x <= limit)


def memory_growth(results):
    """Return for 10k and for all rows how much more than for none the worst of
    our streaming roads took, in MB.  Three indexes add maintenance_work_mem,
    so the roads that build them stay out."""
    peaks = results.get("memory_kb", {})
    answer = []
    for size in ("ten", "big"):
        grown = [peak[size]["streaming"] - peak["none"]["streaming"]
                 for label, peak in peaks.items()
                 if label in ("ours first fill n", "ours refill n", "ours unchanged i")
                 and peak.get(size) is not None and peak.get("none") is not None]
        answer.append(max(grown) / 1024 if grown else None)
    return answer


def stall(results, name):
    """Return the median of what a refresh adds to a reader's longest wait."""
    return median([pair["busy"] - pair["idle"]
                   for pair in results.get("stall_ms", {}).get(name, [])])


def lock_ms(results):
    said = results["reported"].get("big", {}).get("ours refill i", [])
    return median([row["lock_ms"] for row in said])


def until_published(results):
    """Return how long a roll-up takes before its days are dropped, against the
    rival, who drops none."""
    said = results["reported"].get("rollup", {}).get("ours", [])
    hand = results["seconds"].get("rollup", {}).get("by hand", [])
    return median([row["load_ms"] / 1000 / seconds for row, seconds in zip(said, hand)
                   if seconds is not None])


def worst_pattern(found):
    """Return the costliest pattern against a refill; None unless all were run."""
    known = [found[f"{pattern} / refill"] for pattern in PATTERNS]
    return None if None in known else max(known)


def judge(results):
    """Return all ratios and the rows of the targets' table."""
    found = ratios(results)
    targets = Targets(results, found)
    rows = "1M rows" if results["rows"] == 1_000_000 else f"{results['rows']:,} rows"
    wal = results.get("wal_unchanged")
    trips = results.get("round_trips", {})
    empty = median(results["seconds"].get("none", {}).get("ours unchanged i"))

    targets.faster(f"full refresh (refill), {rows}, 3 indexes / none, against dblink REFRESH",
                   ">= 1.75 / 2.6 times faster",
                   ["dblink refresh / refill, 3 indexes", "dblink refresh / refill, no index"],
                   [1.75, 2.6])
    targets.at_most("the same against the psql binary COPY pipe", "<= 1.0 / 1.0",
                    [found["refill / pipe, 3 indexes"], found["refill / pipe, no index"]], [1.0, 1.0])
    targets.at_most("load phase (refill without index) against receive-and-discard", "<= 1.25",
                    [found["load (refill, no index) / sink"]], [1.25])
    targets.faster("unchanged: against dblink REFRESH / CONCURRENTLY", ">= 4 / >= 6 times faster",
                   ["dblink refresh / unchanged", "concurrently / unchanged"], [4, 6])
    targets.at_most("unchanged: against receive-and-discard", "<= 1.1",
                    [found["unchanged / sink"]], [1.1])
    targets.at_most("unchanged: WAL of the slice and its indexes, right after a checkpoint"
                    " / of log and ledger, later", "<= 16 KB / <= 4 KB",
                    [wal and wal["after_checkpoint"]["slice"] / 1024,
                     wal and wal["later"]["rest"] / 1024], [16, 4], " KB", 1)
    targets.faster("1 % changed against dblink REFRESH / CONCURRENTLY", ">= 3 / >= 5 times faster",
                   ["dblink refresh / 1 % scattered", "concurrently / 1 % scattered"], [3, 5])
    targets.at_most("any change pattern or order (the worst) against a forced refill", "<= 1.4",
                    [worst_pattern(found)], [1.4])
    targets.at_most("private memory while streaming, 10k / all rows, over that for no row",
                    "<= 8 MB", memory_growth(results), [8, 8], " MB", 1)
    targets.at_most("AccessExclusiveLock held / worst reader stall less that when nothing runs,"
                    " medians", "<= 5 ms / <= 20 ms",
                    [lock_ms(results), stall(results, "ours refill")], [5, 20], " ms")
    targets.at_most("10k rows, 3 indexes, against dblink REFRESH / an empty unchanged day",
                    "<= 0.75 / <= 10 ms",
                    [found["10k rows: refill / dblink refresh, 3 indexes"],
                     None if empty is None else empty * 1000], [0.75, 10])
    targets.at_most("50 ms round trip, 10k rows: round trips of a refill / of an unchanged slice",
                    "<= 4", [median(trips.get("ours refill")), median(trips.get("ours unchanged"))],
                    [4, 4], "", 0)
    targets.faster("4 tenants, 2 workers (refill), against dblink one by one", ">= 2 times faster",
                   ["4 tenants: dblink one by one / refill with 2 workers"], [2])
    targets.faster(f"{results.get('slices', 450)} slices of the demo, first load, against dblink:"
                   " TLS + scram / socket", ">= 3 / >= 2 times faster",
                   ["slices over TLS: dblink / first load",
                    "slices over a socket: dblink / first load"], [3, 2])
    targets.at_most("roll-up of 365 days, 3 indexes, against INSERT ... SELECT and count(*) day by day,"
                    " CREATE INDEX, ANALYZE: until published / with the days dropped",
                    "<= 1.0 / <= 1.0", [found["roll-up until published / by hand"],
                                        found["roll-up / by hand"]], [1.0, 1.0])
    targets.at_most("1 % of a day changed: inside its year's table against the day by itself",
                    "<= 3", [found["1 % of a day: in its year's table / by itself"]], [3])
    targets.at_most("worst reader stall during a year's roll-up less that when nothing runs, median",
                    "<= 20 ms", [stall(results, "ours roll-up")], [20], " ms")
    targets.faster(f"{rows} into a keyed table / as a snapshot, first load, against dblink"
                   " INSERT ... SELECT into the same indexed table", ">= 1.6 times faster",
                   ["keyed table: dblink / first load", "keyed table: dblink / snapshot"], [1.6, 1.6])
    targets.faster(f"10,000 changed of {rows}, against dblink and INSERT ... ON CONFLICT",
                   ">= 1.3 times faster",
                   ["keyed table, 10k changed: dblink and ON CONFLICT / ours"], [1.3])
    targets.at_most(f"{rows}, first load with its indexes: archived against not", "<= 1.35 times",
                    [found["first fill: archived / not"]], [1.35])
    return found, targets.rows


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def seconds_table(results, group):
    """Write a group's medians, spread, ratio to dblink's refresh, and WAL."""
    rows = []
    for label, seconds in sorted(results["seconds"][group].items(),
                                 key=lambda item: median(item[1]) or 1e9):
        known = [second for second in seconds if second is not None]
        if not known:
            rows.append([label, "not built" if f"{group}: {label}" in results["not_built"]
                         else "failed", "", ""])
            continue
        against = {"big": "dblink refresh ", "ten": "dblink refresh ",
                   "none": "dblink refresh "}.get(group)
        ratio = against and paired(results, group, label, against + label[-1])
        wal = median(results["wal_bytes"][group][label])
        rows.append([label, f"{median(known) * 1000:,.1f} ({min(known) * 1000:,.1f}-{max(known) * 1000:,.1f})",
                     f"{ratio:.2f}" if ratio else "", f"{wal / MEGABYTE:.2f}"])
    return table(["variant (n no index, i three)", "ms, median (min-max)",
                  "of dblink REFRESH", "WAL MB"], rows)


def markdown(results):
    """Write the report."""
    machine = results["machine"]
    words = {None: "not measured", True: "yes", False: "no"}
    parts = [
        f"# Measured {results['at']}, commit {results['commit']}\n",
        f"{machine['cores']} cores for both servers, Linux {machine['kernel']}, PostgreSQL"
        f" {machine['server']}; {results['rows']:,} rows"
        f"{', QUICK=1' if results['quick'] else ''}; rounds: "
        + ", ".join(f"{group} {count}" for group, count in results["rounds"].items()) + ".\n",
        table(["figure", "target", "measured", "met"],
              [[row["figure"], row["target"], row["measured"], words[row["met"]]]
               for row in results["targets"]])]
    titles = {"big": f"{results['rows']:,} rows", "ten": "10,000 rows", "none": "no row",
              "far": "10,000 rows, 25 ms away each way",
              "tenants": f"{results['rows'] // 4:,} rows a tenant, three indexes",
              "slices": f"{results.get('slices', 0)} slices",
              "rollup": f"A year of {results.get('year_rows', 0):,} rows",
              "late": "1 % of one day of that year",
              "sync": "a keyed table, and 10,000 changed rows",
              "archive": "with and without an archive, three indexes"}
    for group, title in titles.items():
        if group in results["seconds"]:
            parts += [f"## {title}\n", seconds_table(results, group)]
    if results.get("wal_without_checkpoint"):
        parts += ["## WAL where no checkpoint came before, MB, three indexes\n", table(
            ["variant", "WAL MB"],
            [[label, f"{wal / MEGABYTE:.2f}"]
             for label, wal in results["wal_without_checkpoint"].items() if wal is not None])]
    if results.get("memory_kb"):
        parts += ["## Peak private memory, MB: while rows stream / with ANALYZE\n", table(
            ["variant", "no row", "10,000 rows", f"{results['rows']:,} rows"],
            [[label, *("" if peak.get(size) is None else
                       " / ".join(f"{peak[size][part] / 1024:.1f}"
                                  for part in ("streaming", "whole"))
                       for size in ("none", "ten", "big"))]
             for label, peak in results["memory_kb"].items()])]
    if results.get("stall_ms"):
        parts += ["## A reader every 0.5 ms: longest wait, ms, median of the rounds\n", table(
            ["while", "with it", "with nothing"],
            [[name, f"{median([p['busy'] for p in pairs]):.1f}",
              f"{median([p['idle'] for p in pairs]):.1f}"]
             for name, pairs in results["stall_ms"].items()])]
    if results.get("round_trips"):
        parts += ["## Round trips at 25 ms each way\n", table(
            ["variant", "round trips"],
            [[label, f"{median(trips):.0f}"] for label, trips in results["round_trips"].items()])]
    for key, title in (("not_built", "Not built"), ("failed", "Failed")):
        if results[key]:
            parts += [f"## {title}\n", table(["variant", "why"], [
                [label, why.splitlines()[0]] for label, why in sorted(results[key].items())])]
    return "\n".join(parts)
