#!/usr/bin/python3
"""Measure, part by part; run by run.sh, which made the servers.

Within a part all variants take turns, in another order each round, and a
ratio is the median of the ratios of the rounds.  A part that the product
cannot do yet is said to be "not built"; one that fails says how, and the
others go on.
"""

import datetime
import json
import os
import platform
import random
import sys
import time

import observe
import proxy
import report
import servers
import variants
from servers import AIRPORTS, PASSWORD, SOCKET, TENANT_PORT, WAREHOUSE_PORT, execute
from variants import PATTERNS, NotBuilt

QUICK = bool(os.environ["QUICK"])
ROWS = 200_000 if QUICK else 1_000_000
ROUNDS = 3 if QUICK else 5
SMALL_ROUNDS = 5 if QUICK else 15
OUT = servers.SCRATCH + "/out/bench"
RIVALS = ("dblink create", "dblink refresh", "fdw 100", "fdw 10000", "pipe")
OURS = ("ours first fill", "ours refill")
BEGUN = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - BEGUN:4.0f} s] {text}", file=sys.stderr, flush=True)


class Bench:
    """The servers, what was measured on them, and the parts."""

    def __init__(self):
        self.proxy = proxy.Proxy(TENANT_PORT)
        servers.make_tenants(ROWS)
        servers.make_warehouse(self.proxy.port)
        self.variants = variants.Variants(servers.Source())
        self.results = {
            "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "commit": os.environ["COMMIT"],
            "quick": QUICK, "rows": ROWS, "rounds": ROUNDS, "small_rounds": SMALL_ROUNDS,
            "machine": {"cores": os.cpu_count(), "kernel": platform.release(),
                        "server": servers.value(self.variants.boss, "SHOW server_version")},
            "seconds": {}, "wal_bytes": {}, "reported": {}, "not_built": {}, "failed": {},
        }

    def attempt(self, label, action):
        """Run an action; note why it cannot be measured and return None then."""
        if label in self.results["not_built"] or label in self.results["failed"]:
            return None
        try:
            return action()
        except NotBuilt as error:
            self.results["not_built"][label] = str(error)
        except Exception as error:      # pylint: disable=broad-except
            self.results["failed"][label] = str(error).strip()
        say(f"{label}: " + (self.results["not_built"] | self.results["failed"])[label])
        return None

    def note(self, table, group, label, number):
        self.results[table].setdefault(group, {}).setdefault(label, []).append(number)

    def timed(self, group, label, prepare, run):
        """Measure one run: seconds, WAL and what it says of itself."""
        def measured():
            prepare()
            execute(self.variants.boss, "CHECKPOINT")
            since = observe.wal_position(self.variants.boss)
            begun = time.perf_counter()
            said = run()
            seconds = time.perf_counter() - begun
            return seconds, observe.wal_bytes(self.variants.boss, since), said

        answer = self.attempt(f"{group}: {label}", measured)
        self.note("seconds", group, label, answer and answer[0])
        self.note("wal_bytes", group, label, answer and answer[1])
        if answer and answer[2]:
            self.note("reported", group, label, answer[2])

    def rounds(self, group, count, chosen):
        """Time (label, prepare, run) in turns."""
        for number in range(count):
            order = list(chosen)
            random.Random(number).shuffle(order)
            for label, prepare, run in order:
                self.timed(group, label, prepare, run)
            if count == ROUNDS:
                say(f"{group}: round {number + 1} of {count}")

    def chosen(self, size, names):
        """List the variants of a size, each for its indexes."""
        for name, suffixes in names:
            for suffix in suffixes:
                yield (f"{name} {suffix}", *self.variants.named(name, size, suffix))

    # --------------------------------------------------------------- parts

    def big(self):
        """Whole tables, changed in every pattern."""
        self.rounds("big", ROUNDS, list(self.chosen("big", [
            *((name, "ni") for name in RIVALS + OURS), ("sink", "n"),
            ("dblink concurrently unchanged", "i"), ("dblink concurrently scattered", "i"),
            ("ours unchanged", "i"), *(("ours " + pattern, "i") for pattern in PATTERNS)])))

    def small(self):
        """10,000 rows, and none."""
        names = [*((name, "ni") for name in RIVALS + OURS), ("sink", "n"), ("ours unchanged", "i")]
        self.rounds("ten", SMALL_ROUNDS, list(self.chosen("ten", names)))
        self.rounds("none", SMALL_ROUNDS, list(self.chosen("none", names)))

    def wal(self):
        """What an unchanged slice writes: of itself right after a checkpoint,
        and in log and ledger when their pages are in the WAL already."""
        template = "big_i"
        prepare, run = self.variants.named("ours unchanged", "big", "i")
        relation = f"t1.{template}_{variants.FIRST_DAY.replace('-', '_')}"

        def one_run():
            since = observe.wal_position(self.variants.boss)
            run()
            return observe.wal_by_relation(self.variants.boss, since, relation)

        def measured():
            prepare()
            run()
            execute(self.variants.boss, "CHECKPOINT")
            after_checkpoint = one_run()
            return {"slice_after_checkpoint": after_checkpoint[0],
                    "rest_after_checkpoint": after_checkpoint[1],
                    "slice": (again := one_run())[0], "rest": again[1]}

        self.results["wal_unchanged"] = self.attempt("wal: unchanged", measured)

    def memory(self):
        """Peak private memory of the backend, or of its worker."""
        peaks = self.results["memory_kb"] = {}
        for name, suffix in (("dblink refresh", "n"), ("fdw 10000", "n"),
                             ("ours first fill", "n"), ("ours refill", "n"),
                             ("ours unchanged", "i"), ("ours refill", "i"),
                             ("ours scattered", "i"), ("ours half", "i")):
            for size in ("none", "ten", "big"):
                if size != "big" and name.split()[-1] in PATTERNS:
                    continue

                def measured():
                    self.variants.reconnect()
                    prepare, run = self.variants.named(name, size, suffix)
                    prepare()
                    self.variants.reconnect()
                    ours = name.startswith("ours")
                    return observe.peak_memory_kb(
                        self.variants.owner if ours else self.variants.boss, run)

                peaks.setdefault(f"{name} {suffix}", {})[size] = self.attempt(
                    f"memory: {name} {suffix} {size}", measured)

    def readers(self):
        """The longest wait of a reader during a refresh, and when nothing runs."""
        stalls = self.results["stall_ms"] = {}
        relations = {"ours": f"t1.big_i_{variants.FIRST_DAY.replace('-', '_')}",
                     "dblink refresh": "rival.dblink_refresh_big_i",
                     "dblink concurrently unchanged": "rival.dblink_concurrently_big_i"}
        for _ in range(ROUNDS):
            for name in ("ours refill", "ours unchanged", "dblink refresh",
                         "dblink concurrently unchanged"):
                prepare, run = self.variants.named(name, "big", "i")
                relation = relations.get(name, relations["ours"])
                sql = f"SELECT store FROM {relation} WHERE id = 4711"

                def measured():
                    prepare()
                    execute(self.variants.boss, "CHECKPOINT")
                    begun = time.perf_counter()
                    busy = observe.worst_stall_ms(sql, run)
                    seconds = time.perf_counter() - begun
                    return busy, observe.worst_stall_ms(sql, lambda: time.sleep(seconds))

                pair = self.attempt(f"readers: {name}", measured)
                if pair:
                    stalls.setdefault(name, []).append({"busy": pair[0], "idle": pair[1]})

    def far(self):
        """10,000 rows from a source 50 ms away and back, on new connections."""
        trips = self.results["round_trips"] = {}
        far = variants.conninfo(self.proxy.port)
        boss = servers.connect(WAREHOUSE_PORT, "postgres", "postgres")
        self.variants.create_rival("rival.far_dblink", variants.by_dblink(
            "SELECT * FROM src_ten", far), "i")
        for fetch_size in (100, 10000):
            self.variants.create_rival(f"rival.far_fdw_{fetch_size}",
                                       f"SELECT * FROM rival.far_{fetch_size}_ten", "i")
        refresh_far = lambda method=None: variants.reported(
            variants.refresh(self.variants.owner, "ten_i", "far", method=method))
        self.attempt("far: first load", refresh_far)

        def rival(name):
            return lambda: execute(boss_now(), f"REFRESH MATERIALIZED VIEW rival.far_{name}") and None

        def boss_now():
            self.variants.reconnect()
            return self.variants.boss

        runs = [("dblink", rival("dblink")), ("fdw 10000", rival("fdw_10000")),
                ("fdw 100", rival("fdw_100")),
                ("ours refill", lambda: refresh_far("refill")),
                ("ours unchanged", lambda: refresh_far("delta")),
                ("ours as it chooses", refresh_far)]

        def counted(label, run):
            def action():
                before = self.proxy.trips.value
                said = run()
                trips.setdefault(label, []).append(self.proxy.trips.value - before)
                return said
            return action

        self.rounds("far", ROUNDS, [(label, lambda: None, counted(label, run))
                                    for label, run in runs])
        boss.close()

    def tenants(self):
        """1, 2 and 4 tenants: dblink one by one, ours with 1, 2 and 4 workers."""
        for number in range(1, 5):
            self.variants.create_rival(f"rival.quarter_{number}", variants.by_dblink(
                "SELECT * FROM src_quarter",
                variants.conninfo().replace("dbname=t1", f"dbname=t{number}")), "i")
        runs = []
        for count in (1, 2, 4):
            def one_by_one(count=count):
                for number in range(1, count + 1):
                    execute(self.variants.boss, f"REFRESH MATERIALIZED VIEW rival.quarter_{number}")

            runs.append((f"dblink {count}", lambda: None, one_by_one))
            self.attempt(f"tenants: first load of {count}", lambda count=count: variants.refresh(
                self.variants.owner, f"quarter_{count}", None))
            for workers in (1, 2, 4):
                if workers > count:
                    continue
                for what, method in (("refill", "refill"), ("unchanged", "delta")):
                    runs.append((f"ours {what} {count} workers {workers}", lambda: None,
                                 lambda count=count, workers=workers, method=method: variants.refresh(
                                     self.variants.owner, f"quarter_{count}", None,
                                     method=method, parallel=workers)[0] and None))
            runs.append((f"ours as it chooses {count}", lambda: None,
                         lambda count=count: variants.refresh(
                             self.variants.owner, f"quarter_{count}", None)[0] and None))
        self.rounds("tenants", ROUNDS, runs)

    def slices(self):
        """The first load of the demo's 450 slices, over TLS and over a socket."""
        days = 30 if QUICK else 90
        count = 1 if QUICK else 3
        self.results["slices"] = days * len(AIRPORTS)
        runs = []
        for kind, where in (
                ("tls", f"host=localhost port={TENANT_PORT} user=scram password={PASSWORD}"
                        f" sslmode=verify-full sslrootcert={servers.SCRATCH}/server.crt"),
                ("socket", f"host={SOCKET} port={TENANT_PORT} user=reader")):
            runs += [(f"dblink {kind}", *self.slices_of_dblink(where, days)),
                     (f"ours {kind}", *self.slices_of_ours(kind, days))]
        self.rounds("slices", count, runs)

    def slices_of_dblink(self, where, days):
        def prepare():
            for airport in AIRPORTS:
                execute(self.variants.boss, f"DROP SCHEMA IF EXISTS rival_{airport} CASCADE")
                execute(self.variants.boss, f"CREATE SCHEMA rival_{airport}")

        def run():
            for airport in AIRPORTS:
                for number in range(days):
                    day = datetime.date(2001, 1, 1) + datetime.timedelta(days=number)
                    execute(self.variants.boss, slice_by_dblink(where, airport, day))

        return prepare, run

    def slices_of_ours(self, kind, days):
        names = ",".join(f"{airport}_{kind}" for airport in AIRPORTS)
        template = f"flights_{kind}"
        last = datetime.date(2001, 1, 1) + datetime.timedelta(days=days - 1)

        def prepare():
            if servers.value(self.variants.boss, "SELECT count(*) FROM _wh.mv_templates"
                                                 f" WHERE template_name = '{template}'"):
                execute(self.variants.owner, f"SELECT _wh.drop_template('{template}', drop_data => true)")
            execute(self.variants.owner, f"""SELECT _wh.add_template('{template}',
                'SELECT * FROM flights WHERE departed_at >= {{DAY_START}} AND departed_at < {{DAY_END}}',
                '{FLIGHT_COLUMNS}',
                'CREATE UNIQUE INDEX {{view_name}}_id ON {{schema}}.{{view_name}} (flight_id);
                 CREATE INDEX {{view_name}}_departed ON {{schema}}.{{view_name}} (departed_at);
                 CREATE INDEX {{view_name}}_destination ON {{schema}}.{{view_name}} (destination)',
                time_column => 'departed_at', tenants => '{{{names}}}')""")

        return prepare, lambda: execute(
            self.variants.owner, f"CALL _wh.run_refresh('{template}', NULL, '2001-01-01', '{last}')") and None


FLIGHT_COLUMNS = ("flight_id integer, departed_at timestamptz, origin text, destination text,"
                  " distance_miles integer, delay_minutes integer")


def slice_by_dblink(where, airport, day):
    """Write what a user without us would run for one slice."""
    relation = f"rival_{airport}.flights_{day:%Y_%m_%d}"
    until = day + datetime.timedelta(days=1)
    return (f"CREATE MATERIALIZED VIEW {relation} AS SELECT * FROM dblink('{where} dbname={airport}',"
            f" $$SELECT * FROM flights WHERE departed_at >= '{day}Z' AND departed_at < '{until}Z'$$)"
            f" AS r ({FLIGHT_COLUMNS});"
            f"CREATE UNIQUE INDEX ON {relation} (flight_id);"
            f"CREATE INDEX ON {relation} (departed_at);"
            f"CREATE INDEX ON {relation} (destination)")


PARTS = ("big", "small", "wal", "memory", "readers", "far", "tenants", "slices")


def main():
    wanted = os.environ["ONLY"].split() or PARTS
    say(f"making the source: {ROWS} rows in eight states")
    bench = Bench()
    for part in PARTS:
        if part in wanted:
            say(f"measuring: {part}")
            getattr(bench, part)()
    bench.proxy.stop()

    bench.results["ratios"], bench.results["targets"] = report.judge(bench.results)
    with open(OUT + "/bench.json", "w", encoding="utf-8") as file:
        json.dump(bench.results, file, indent=1, sort_keys=True)
    with open(OUT + "/bench.md", "w", encoding="utf-8") as file:
        file.write(report.markdown(bench.results))
    say("done")


if __name__ == "__main__":
    main()
