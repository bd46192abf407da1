#!/usr/bin/python3
"""Measure, part by part; run by run.sh, which made the servers.

Within a part all variants take turns, in another order each round, and a
ratio is the median of the ratios of the rounds.  A variant that the product
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
import parts
import proxy
import report
import servers
import variants
from servers import execute

QUICK = bool(os.environ["QUICK"])
ROWS = 100_000 if QUICK else 1_000_000
OUT = servers.SCRATCH + "/out/bench"
BEGUN = time.monotonic()

# Rounds of a part at most, and the seconds after which it ends; the first
# round is always a whole one.
LIMITS = {
    #          rounds, seconds; and with QUICK
    "big":     ((5, 400), (3, 30)),
    "ten":     ((15, 60), (5, 8)),
    "none":    ((15, 30), (5, 4)),
    "readers": ((5, 90), (3, 8)),
    "far":     ((5, 60), (3, 4)),
    "tenants": ((5, 90), (3, 8)),
    "slices":  ((3, 90), (1, 0)),
    "rollup":  ((3, 300), (1, 0)),
    "late":    ((15, 60), (5, 8)),
    "sync":    ((5, 150), (3, 20)),
    "archive": ((5, 120), (3, 20)),
}


def say(text):
    print(f"[{time.monotonic() - BEGUN:4.0f} s] {text}", file=sys.stderr, flush=True)


class Bench:
    """The servers, the variants, and what was measured."""

    def __init__(self):
        self.quick = QUICK
        self.until = 0.0        # when the part at work ends
        self.proxy = proxy.Proxy(servers.TENANT_PORT)
        servers.make_tenants(ROWS)
        servers.make_warehouse(self.proxy.port)
        self.variants = variants.Variants(servers.Source())
        self.results = {
            "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "commit": os.environ["COMMIT"], "quick": QUICK, "rows": ROWS,
            "machine": {"cores": os.cpu_count(), "kernel": platform.release(),
                        "server": servers.value(self.variants.boss, "SHOW server_version")},
            "rounds": {}, "seconds": {}, "wal_bytes": {}, "reported": {},
            "not_built": {}, "failed": {},
        }

    def attempt(self, label, action):
        """Run an action; note why it cannot be measured and return None then."""
        reasons = self.results["not_built"], self.results["failed"]
        if any(label in known for known in reasons):
            return None
        try:
            return action()
        except variants.NotBuilt as error:
            reasons[0][label] = why = str(error)
        except Exception as error:      # pylint: disable=broad-except
            reasons[1][label] = why = str(error).strip()
        say(f"{label}: {why}")
        return None

    def note(self, table, group, label, number):
        self.results[table].setdefault(group, {}).setdefault(label, []).append(number)

    def rounds(self, group):
        """Yield the numbers of a group's rounds, until the time is up."""
        most, seconds = LIMITS[group][QUICK]
        self.until = time.monotonic() + seconds
        for number in range(most):
            if self.is_late(number):
                break
            self.results["rounds"][group] = number + 1
            yield number
        say(f"{group}: {self.results['rounds'][group]} rounds")

    def is_late(self, number):
        return number > 0 and time.monotonic() > self.until

    def take_turns(self, group, chosen):
        """Time each (label, prepare, run) once a round."""
        for number in self.rounds(group):
            order = list(chosen)
            random.Random(number).shuffle(order)
            for label, prepare, run in order:
                if self.is_late(number):
                    break
                self.time(group, label, prepare, run)

    def time(self, group, label, prepare, run):
        """Measure one run: seconds, WAL and what it says of itself."""
        def measured():
            prepare()
            execute(self.variants.boss, "CHECKPOINT")
            since = observe.wal_position(self.variants.boss)
            begun = time.perf_counter()
            said = run()
            seconds = time.perf_counter() - begun
            return seconds, observe.wal_bytes(self.variants.boss, since), said

        seconds, wal, said = self.attempt(f"{group}: {label}", measured) or (None, None, None)
        self.note("seconds", group, label, seconds)
        self.note("wal_bytes", group, label, wal)
        if said:
            self.note("reported", group, label, said)


def save(results):
    """Write the report as far as it goes, so that an early end loses little."""
    results["ratios"], results["targets"] = report.judge(results)
    with open(OUT + "/bench.json", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1, sort_keys=True)
    with open(OUT + "/bench.md", "w", encoding="utf-8") as file:
        file.write(report.markdown(results))


def main():
    wanted = os.environ["ONLY"].split() or parts.PARTS
    say(f"making the source: {ROWS:,} rows in seven states")
    bench = Bench()
    for name, part in parts.PARTS.items():
        if name in wanted:
            say(f"measuring: {name}")
            part(bench)
            save(bench.results)
    bench.proxy.stop()
    say("done")


if __name__ == "__main__":
    main()
