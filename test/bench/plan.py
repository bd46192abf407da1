#!/usr/bin/python3
"""What a query on a view over thousands of slices costs; run by plan.sh.

Within a round all ways to ask the same question take turns, in another order
each round; a ratio is the median of the ratios of the rounds.
"""

import datetime
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import time

import report
import servers
from report import median
from servers import execute, value

QUICK = bool(os.environ["QUICK"])
ROUNDS = 3 if QUICK else 7
UNRELATED_RUNS = 1000 if QUICK else 5000
UNRELATED_BATCH = 50
PGBENCH_SECONDS = 1 if QUICK else 3
OUT = servers.SCRATCH + "/out/bench"
BEGUN = time.monotonic()

# Slices, days of each of the ten tenants, and how many tenants the views of
# layout union show: at 36,500 slices a plan of those takes 20 s, so there one
# tenant has to do, for the cost of adding a slice to its view.
SIZES = {3650: (365, 10)} if QUICK else {3650: (365, 10), 36500: (3650, 1)}

# Questions by what they need: the view, and a condition.
TODAY = datetime.datetime.now(datetime.timezone.utc).date()
DAY = TODAY - datetime.timedelta(days=100)
MONTH = TODAY - datetime.timedelta(days=200)


def between(first, days):
    last = first + datetime.timedelta(days=days)
    return f"at >= '{first} 00:00+00' AND at < '{last} 00:00+00'"


QUESTIONS = {
    "tenant's view, 1 day": ("t3.{v}", between(DAY, 1)),
    "public view, tenant and day": ("public.{v}", f"schema_name = 't3' AND {between(DAY, 1)}"),
    "public view, 1 day": ("public.{v}", between(DAY, 1)),
    "tenant's view, 1 month": ("t3.{v}", between(MONTH, 31)),
    "public view, 1 month": ("public.{v}", between(MONTH, 31)),
    "public view, no slice": ("public.{v}", "at > '2999-01-01'"),
    "public view, all": ("public.{v}", "true"),
}
# How a question is asked: the template, and what is set before.
WAYS = {
    "expand": ("wide", "SET pg_warehouse.expand_views = on"),
    "expand, hook off": ("wide", "SET pg_warehouse.expand_views = off"),
    "union": ("flat", "SET pg_warehouse.expand_views = on"),
}


def say(text):
    print(f"[{time.monotonic() - BEGUN:4.0f} s] {text}", file=sys.stderr, flush=True)


def database(size):
    return f"slices_{size}"


def select(question, way):
    view, condition = QUESTIONS[question]
    return f"SELECT count(*), sum(price) FROM {view.format(v=WAYS[way][0])} WHERE {condition}"


def connect(size):
    connection = servers.connect(servers.WAREHOUSE_PORT, database(size), "postgres")
    execute(connection, "LOAD 'pg_warehouse'")
    return connection


def timed(connection, sql, at_least=0.02):
    """Return the median seconds of a statement that is run for a while."""
    seconds = []
    while sum(seconds) < at_least:
        begun = time.perf_counter()
        execute(connection, sql)
        seconds.append(time.perf_counter() - begun)
    return median(seconds)


def locks(connection, sql):
    """Count the relations that a statement leaves locked in its transaction."""
    execute(connection, "BEGIN")
    execute(connection, sql)
    found = value(connection, "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
                              " AND locktype = 'relation' AND relation <> 'pg_locks'::regclass")
    execute(connection, "ROLLBACK")
    return found


def planning_ms(connection, sql):
    plan = value(connection, f"EXPLAIN (SUMMARY, FORMAT json) {sql}")
    return plan[0]["Planning Time"]


def take_turns(rounds, ways):
    """Time each (label, connection, SQL) once a round; return label -> seconds."""
    seconds = {label: [] for label, _, _ in ways}
    for number in range(rounds):
        order = list(ways)
        random.Random(number).shuffle(order)
        for label, connection, sql in order:
            seconds[label].append(timed(connection, sql))
    return seconds


def ratio(seconds, one, other):
    return median([a / b for a, b in zip(seconds[one], seconds[other])])


def build():
    for size, (days, flat) in SIZES.items():
        say(f"making {size:,} slices")
        boss = servers.connect(servers.WAREHOUSE_PORT, "postgres", "postgres")
        execute(boss, f"CREATE DATABASE {database(size)}")
        servers.psql(servers.WAREHOUSE_PORT, database(size), "-v", f"days={days}",
                     "-v", f"flat={flat}", *servers.script("plan.sql"))


def ask(results):
    """Ask every question in every way; check that all answers agree."""
    for size in SIZES:
        ways = [way for way in WAYS if way != "union" or SIZES[size][1] == 10]
        sessions = {}
        for way in ways:
            sessions[way] = connect(size)
            execute(sessions[way], WAYS[way][1])
        for question in QUESTIONS:
            say(f"{size:,} slices: {question}")
            answers = [execute(sessions[way], select(question, way)) for way in ways]
            if any(answer != answers[0] for answer in answers):
                sys.exit(f"{question}: the answers differ: {answers}")
            seconds = take_turns(ROUNDS, [(way, sessions[way], select(question, way)) for way in ways])
            for way in ways:
                results["asked"].append({
                    "slices": size, "question": question, "way": way, "seconds": seconds[way],
                    "planning_ms": planning_ms(sessions[way], select(question, way)),
                    "locks": locks(sessions[way], select(question, way))})


def asked(results, size, question, way):
    for row in results["asked"]:
        if (row["slices"], row["question"], row["way"]) == (size, question, way):
            return row
    return None


def against(results, question, one, other):
    """Return the ratio of two (size, way) for one question; None unmeasured."""
    rows = [asked(results, size, question, way) for size, way in (one, other)]
    if None in rows:
        return None
    return median([a / b for a, b in zip(rows[0]["seconds"], rows[1]["seconds"])])


def directly(results):
    """One tenant's day through the view, and naming the slice itself."""
    size = max(SIZES)
    say("one day, directly")
    through, direct = connect(size), connect(size)
    slice_name = f"t3.wide_{DAY:%Y_%m_%d}"
    seconds = take_turns(ROUNDS * 3, [
        ("view", through, select("tenant's view, 1 day", "expand")),
        ("slice", direct, f"SELECT count(*), sum(price) FROM {slice_name} WHERE {between(DAY, 1)}")])
    results["directly"] = {"slices": size, "seconds": seconds, "ratio": ratio(seconds, "view", "slice")}


def guard(results):
    """A kept plan with a bound that moves, against one with a constant."""
    size = max(SIZES)
    say("the guard of a kept plan")
    session = connect(size)
    count = "SELECT count(*) FROM t3.wide WHERE at >= "
    execute(session, f"PREPARE moving AS {count} now() - interval '1 hour'")
    execute(session, f"PREPARE constant AS {count} '{datetime.datetime.now(datetime.timezone.utc)}'::timestamptz - interval '1 hour'")
    execute(session, "SET plan_cache_mode = force_generic_plan")
    seconds = take_turns(ROUNDS * 3, [("moving", session, "EXECUTE moving"),
                                      ("constant", session, "EXECUTE constant")])
    results["guard_ms"] = 1000 * median([a - b for a, b in zip(seconds["moving"], seconds["constant"])])


def unrelated(results):
    """The processor's time for a query on other tables, with the library
    loaded and without: on two cores the clock tells more of who shares one."""
    size = min(SIZES)
    say("unrelated queries")
    sql = "SELECT a.kind, count(*) FROM unrelated AS a JOIN unrelated AS b USING (id) WHERE a.id = 7 GROUP BY 1"
    sessions = []
    for loaded in (True, False) * 3:
        session = connect(size) if loaded else servers.connect(servers.WAREHOUSE_PORT, database(size), "postgres")
        known = value(session, "SELECT count(*) FROM pg_settings WHERE name LIKE 'pg_warehouse.%'")
        if (known > 0) is not loaded:
            raise RuntimeError("the library is loaded where it should not be, or is not")
        pid = value(session, "SELECT pg_backend_pid()")
        sessions.append(("loaded" if loaded else "plain", session, f"/proc/{pid}/schedstat"))
    seconds = {"loaded": [], "plain": []}
    for number in range(UNRELATED_RUNS // UNRELATED_BATCH):
        for label, session, clock in sessions if number % 2 else reversed(sessions):
            begun = processor_ns(clock)
            for _ in range(UNRELATED_BATCH):
                execute(session, sql)
            seconds[label].append((processor_ns(clock) - begun) / UNRELATED_BATCH / 1e9)
    results["unrelated"] = {label: statistics.quantiles(known, n=4)[0] for label, known in seconds.items()}


def processor_ns(clock):
    """Read how long a process has run, in nanoseconds."""
    with open(clock, encoding="ascii") as file:
        return int(file.read().split()[0])


def new_slice(results):
    """A slice more: a row of the ledger, and for layout union its view."""
    size = max(SIZES)
    days = SIZES[size][0]
    say("a new slice")
    session = connect(size)
    insert = ("INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema,"
              " relation_name, state, row_count, bounds_of, lower_bound, upper_bound)"
              " SELECT '{template}', 't0', 'day', day, day + 1, 't0', to_char(day - {past}, '\"wide_\"YYYY_MM_DD'), 'loaded', 3,"
              " 'at timestamp with time zone', day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'"
              " FROM (SELECT current_date + {number} AS day) AS d")
    seconds = {"expand": [], "union": []}
    view_locks = None
    for number in range(1, 3 if QUICK else 4):
        for way, template in (("expand", "wide"), ("union", "flat")):
            begun = time.perf_counter()
            execute(session, "BEGIN")
            execute(session, insert.format(template=template, number=number, past=number + 30))
            if way == "union":
                execute(session, "SELECT _wh.update_tenant_union_view_by_template('flat', 't0')")
            else:
                # Asking takes as long whatever is locked, so it counts.
                view_locks = value(session, "SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation"
                                            " WHERE l.pid = pg_backend_pid() AND c.relname = 'wide'")
            execute(session, "COMMIT")
            seconds[way].append(time.perf_counter() - begun)
    results["new_slice"] = {"slices_of_the_view": days, "seconds": seconds, "view_locks": view_locks,
                            "ratio": ratio(seconds, "union", "expand")}


def pgbench(results):
    """Milliseconds by each protocol, as clients see them."""
    size = max(SIZES)
    scripts = {
        "the slice itself": f"SELECT count(*) FROM t3.wide_{DAY:%Y_%m_%d} WHERE {between(DAY, 1)};",
        "a constant day": f"SELECT count(*) FROM t3.wide WHERE {between(DAY, 1)};",
        "a day of now()": "SELECT count(*) FROM t3.wide WHERE at >= now() - interval '1 hour';",
        "a day as parameter": "\\set i random(10, 90)\nSELECT count(*) FROM t3.wide WHERE at >= (current_date - :i::integer)::timestamp AT TIME ZONE 'UTC'"
                              " AND at < (current_date - :i::integer + 1)::timestamp AT TIME ZONE 'UTC';",
    }
    for label, script in scripts.items():
        say(f"pgbench: {label}")
        path = f"{servers.SCRATCH}/out/ask.sql"
        with open(path, "w", encoding="ascii") as file:
            file.write(script + "\n")
        for protocol in ("simple", "extended", "prepared"):
            said = subprocess.run(
                ["pgbench", "-n", "-M", protocol, "-T", str(PGBENCH_SECONDS), "-f", path, "-h", servers.SOCKET,
                 "-p", str(servers.WAREHOUSE_PORT), "-U", "postgres", database(size)],
                check=True, capture_output=True, text=True).stdout
            results["pgbench"].setdefault(label, {})[protocol] = float(
                re.search(r"latency average = ([\d.]+) ms", said).group(1))


def judge(results):
    """Set the issue's table beside what was measured."""
    targets = report.Targets(results, {})
    big = 36500 if 36500 in SIZES else None
    direct = results.get("directly")
    day = asked(results, direct["slices"], "tenant's view, 1 day", "expand")
    same = [against(results, question, (36500, "expand"), (3650, "expand"))
            for question in QUESTIONS if question != "public view, all"] if big else [None]
    loaded = results["unrelated"]

    def number(name, found):
        targets.found[name] = found
        return name

    targets.at_most(f"one tenant, one day, at {direct['slices']:,} slices, against naming the slice; relation locks",
                    "<= 2 times; <= 10", [direct["ratio"], day["locks"]], [2, 10])
    targets.faster("10 tenants, one month, at 3,650 slices, expand against union", ">= 30 times faster",
                   [number("month", against(results, "public view, 1 month", (3650, "union"), (3650, "expand")))], [30])
    targets.at_most("the same queries at 36,500 against at 3,650 slices, the worst", "<= 1.5 times",
                    [None if None in same else max(same)], [1.5])
    targets.faster("a new slice made visible, against replacing the view of layout union "
                   f"({results['new_slice']['slices_of_the_view']:,} slices)", ">= 100 times faster",
                   [number("new", results["new_slice"]["ratio"])], [100])
    targets.at_most("locks on a view that it takes", "0", [results["new_slice"]["view_locks"]], [0], "", 0)
    targets.at_most("a kept plan with a stable bound: its guard", "<= 0.1 ms", [results["guard_ms"]], [0.1], " ms", 3)
    targets.at_most(f"a query on unrelated tables, library loaded against not, processor's time, lower quartiles of 3 sessions of {UNRELATED_RUNS:,} runs each", "no difference (<= 1.02)",
                    [loaded["loaded"] / loaded["plain"]], [1.02], "", 3)
    targets.at_most("one query over all 3,650 slices, expand against union", "<= 1",
                    [against(results, "public view, all", (3650, "expand"), (3650, "union"))], [1])
    return targets.rows


def markdown(results):
    machine = results["machine"]
    words = {None: "not measured", True: "yes", False: "no"}
    parts = [
        f"# Measured {results['at']}, commit {results['commit']}\n",
        f"{machine['cores']} cores, Linux {machine['kernel']}, PostgreSQL {machine['server']}"
        f"{'; QUICK=1' if results['quick'] else ''}; slices of three rows, 12 columns, 3 indexes; {ROUNDS} rounds.\n",
        report.table(["figure", "target", "measured", "met"],
                     [[row["figure"], row["target"], row["measured"], words[row["met"]]] for row in results["targets"]]),
        "## Planning ms / client ms, median / relation locks\n"]
    for size in SIZES:
        ways = [way for way in WAYS if asked(results, size, "public view, all", way)]
        rows = []
        for question in QUESTIONS:
            cells = [asked(results, size, question, way) for way in ways]
            rows.append([question] + [f"{c['planning_ms']:.2f} / {median(c['seconds']) * 1000:.2f} / {c['locks']}" for c in cells])
        parts += [f"### {size:,} slices\n", report.table(["question"] + ways, rows)]
    parts += [f"## pgbench at {max(SIZES):,} slices, ms\n",
              report.table(["asked for", "simple", "extended", "prepared"],
                           [[label] + [f"{known[p]:.3f}" for p in ("simple", "extended", "prepared")]
                            for label, known in results["pgbench"].items()])]
    return "\n".join(parts)


def main():
    build()
    results = {
        "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": os.environ["COMMIT"], "quick": QUICK, "asked": [], "pgbench": {},
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(),
                    "server": value(connect(min(SIZES)), "SHOW server_version")},
    }
    for part in (ask, directly, guard, unrelated, new_slice, pgbench):
        part(results)
        with open(OUT + "/plan.json", "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1, sort_keys=True)
    results["targets"] = judge(results)
    with open(OUT + "/plan.json", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1, sort_keys=True)
    with open(OUT + "/plan.md", "w", encoding="utf-8") as file:
        file.write(markdown(results))
    say("done")


if __name__ == "__main__":
    main()
