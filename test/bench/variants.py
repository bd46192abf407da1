"""The ways to bring rows here: the rivals' and ours.

A variant is prepared, untimed, and then run, timed.  What its run returns is
kept beside the seconds.
"""

import datetime
import subprocess

import psycopg2

import servers
from report import PATTERNS
from servers import COLUMNS, INDEXED, TENANT_PORT, WAREHOUSE_PORT, execute

FIRST_DAY = "2024-01-01"
CHANGED_DAY = "2024-01-02"
LATER = datetime.date(2024, 2, 1)
ONE_DAY = datetime.timedelta(days=1)


class NotBuilt(Exception):
    """The product says that it cannot do this yet."""


def conninfo(port=TENANT_PORT, database="t1"):
    return f"host=127.0.0.1 port={port} dbname={database} user=reader sslmode=disable"


def by_dblink(query, connect_to):
    quoted = query.replace("'", "''")
    return f"SELECT * FROM dblink('{connect_to}', '{quoted}') AS r ({COLUMNS})"


def create_indexes(relation):
    return "".join(f"; CREATE {unique} INDEX ON {relation} ({column})"
                   for unique, column in INDEXED)


def refresh(connection, template, tenant="t1", day=FIRST_DAY, method=None, parallel=None):
    """Call wh_refresh; return its rows, all loaded, by the method asked for."""
    arguments = [f"'{template}'", "NULL" if tenant is None else f"'{tenant}'",
                 f"'{day}'", f"'{day}'"]
    if method is not None:
        arguments.append(f"method => '{method}'")
    if parallel is not None:
        arguments.append(f"parallel => {parallel}")
    try:
        rows = execute(connection, f"SELECT * FROM _wh.wh_refresh({', '.join(arguments)})")
    except psycopg2.errors.FeatureNotSupported as error:
        raise NotBuilt(str(error).splitlines()[0]) from error
    for row in rows:
        if row["sqlstate"] == "0A000":
            raise NotBuilt(row["message"])
        if row["status"] != "loaded":
            raise RuntimeError(f"{template}: {row['status']}: {row['message']}")
        if method not in (None, row["method"]):
            raise NotBuilt(f"{method} was asked for and {row['method']} ran")
    return rows


def job(connection, template, tenant="t1", day=FIRST_DAY):
    """Call run_refresh, as a scheduler does; return the unit's row of the log."""
    execute(connection, f"CALL _wh.run_refresh('{template}', '{tenant}', '{day}', '{day}')")
    return execute(connection, f"""
        SELECT * FROM _wh.extract_runs WHERE template_name = '{template}'
        AND tenant_name = '{tenant}' ORDER BY run_id DESC LIMIT 1""")


def reported(rows):
    """Keep of what is known of one unit what the report is made of."""
    return {key: rows[0][key] for key in ("method", "fetch_ms", "load_ms", "lock_ms")}


class Variants:
    """Every variant by name; connections are handed in so that they can be
    fresh ones."""

    def __init__(self, source):
        self.source = source
        self.boss = self.owner = None
        self.filled = {}
        self.reconnect()

    def reconnect(self):
        """Take new backends, which hold no memory of what they did before."""
        for connection in (self.boss, self.owner):
            if connection is not None:
                connection.close()
        self.boss = servers.connect(WAREHOUSE_PORT, "postgres", "postgres")
        self.owner = servers.connect(WAREHOUSE_PORT, "postgres", "whadmin")

    def named(self, name, size, suffix):
        """Return (prepare, run) of a variant."""
        family, _, what = name.partition(" ")
        if name == "dblink create":
            return self.dblink_create(size, suffix)
        if family in ("dblink", "fdw", "ours"):
            return getattr(self, family)(what, size, suffix)
        return getattr(self, family)(size, suffix)

    # ------------------------------------------------------------ rivals

    def create_rival(self, relation, select, suffix):
        execute(self.boss, f"DROP MATERIALIZED VIEW IF EXISTS {relation}")
        execute(self.boss, f"CREATE MATERIALIZED VIEW {relation} AS {select}"
                + (create_indexes(relation) if suffix == "i" else ""))

    def exists(self, relation):
        return servers.value(self.boss, f"SELECT to_regclass('{relation}') IS NOT NULL")

    def dblink_create(self, size, suffix):
        relation = f"rival.created_{size}_{suffix}"
        select = by_dblink(f"SELECT * FROM src_{size}", conninfo())

        def prepare():
            self.source.show("food")
            execute(self.boss, f"DROP MATERIALIZED VIEW IF EXISTS {relation}")

        return prepare, lambda: self.create_rival(relation, select, suffix)

    def dblink(self, what, size, suffix):
        """dblink: refresh, concurrently unchanged, concurrently scattered."""
        relation = f"rival.dblink_{what.split()[0]}_{size}_{suffix}"
        select = by_dblink(f"SELECT * FROM src_{size}", conninfo())

        def prepare():
            if not self.exists(relation):
                self.source.show("food")
                self.create_rival(relation, select, suffix)
            # There and back between two states is the same change.
            states = ["food", "food_scattered"]
            if what != "refresh" and not self.shows_food(relation):
                states.reverse()
            self.source.show(states[what == "concurrently scattered"])

        mode = "CONCURRENTLY " if what.startswith("concurrently") else ""
        return prepare, lambda: execute(
            self.boss, f"REFRESH MATERIALIZED VIEW {mode}{relation}")

    def shows_food(self, relation):
        probe = "SELECT price FROM {} WHERE id = 100"
        return (execute(self.boss, probe.format(relation))
                == execute(self.source.connection, probe.format("food")))

    def fdw(self, fetch_size, size, suffix):
        relation = f"rival.fdw_mv_{fetch_size}_{size}_{suffix}"

        def prepare():
            self.source.show("food")
            if not self.exists(relation):
                self.create_rival(relation, f"SELECT * FROM rival.fdw_{fetch_size}_{size}", suffix)

        return prepare, lambda: execute(
            self.boss, f"REFRESH MATERIALIZED VIEW {relation}")

    def pipe(self, size, suffix):
        """psql | psql: create, COPY FREEZE and index in one transaction."""
        relation = f"rival.pipe_{size}_{suffix}"
        send = servers.psql_command(TENANT_PORT, "t1", "-c",
                                    f"COPY (SELECT * FROM src_{size}) TO STDOUT (FORMAT binary)")
        receive = servers.psql_command(
            WAREHOUSE_PORT, "postgres", "-1", "-c", f"CREATE TABLE {relation} ({COLUMNS})",
            "-c", f"COPY {relation} FROM STDIN (FORMAT binary, FREEZE)",
            *(["-c", create_indexes(relation).lstrip("; ")] if suffix == "i" else []))

        def prepare():
            self.source.show("food")
            execute(self.boss, f"DROP TABLE IF EXISTS {relation}")

        def run():
            with subprocess.Popen(send, stdout=subprocess.PIPE) as sender:
                subprocess.run(receive, stdin=sender.stdout, check=True)

        return prepare, run

    def sink(self, size, _):
        sql = f"SELECT bench_sink('{conninfo()}', 'SELECT * FROM src_{size}')"

        def run():
            execute(self.boss, sql)

        return (lambda: self.source.show("food")), run

    # -------------------------------------------------------------- ours

    def ours(self, what, size, suffix):
        """first fill, refill, unchanged (inline), or one of the patterns, where
        the product chooses the method itself, as it does in a job."""
        template = f"{size}_{suffix}"
        parallel = 0 if what.endswith("inline") else None

        def load(day=FIRST_DAY, method=None):
            return reported(refresh(self.owner, template, day=day, method=method,
                                    parallel=parallel))

        if what == "first fill":
            def new_day():
                self.filled[template] = self.filled.get(template, 0) + 1
                self.source.show("food")

            return new_day, lambda: load(LATER + self.filled[template] * ONE_DAY)
        if what in PATTERNS:
            def prepare():
                self.source.show("food")
                self.restore(template)
                self.source.show("food_" + what)

            return prepare, lambda: reported(job(self.owner, template, day=CHANGED_DAY))

        method = "refill" if what == "refill" else "delta"

        def present():
            self.source.show("food")
            if not self.is_loaded(template, FIRST_DAY):
                load()

        return present, lambda: load(method=method)

    def is_loaded(self, template, day):
        return servers.value(self.boss, f"""SELECT count(*) > 0 FROM _wh.slices
            WHERE template_name = '{template}' AND tenant_name = 't1' AND period_start = '{day}'""")

    def restore(self, template):
        """Give the changed day its first content again, as good as new."""
        try:
            refresh(self.owner, template, day=CHANGED_DAY,
                    method="refill" if self.is_loaded(template, CHANGED_DAY) else None)
        except NotBuilt:
            refresh(self.owner, template, day=CHANGED_DAY)

