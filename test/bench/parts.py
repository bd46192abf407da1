"""What is measured: one function per part of the report."""

import datetime
import time

import observe
import servers
import variants
import years
from report import PATTERNS
from servers import AIRPORTS, PASSWORD, SOCKET, TENANT_PORT, WAREHOUSE_PORT, execute
from variants import FIRST_DAY, ONE_DAY

LOADS = ("dblink create", "dblink refresh", "fdw 100", "fdw 10000", "pipe",
         "ours first fill", "ours refill")
SLICE = f"t1.big_i_{FIRST_DAY.replace('-', '_')}"
QUARTER = datetime.date(2001, 1, 1)
FLIGHT_COLUMNS = ("flight_id integer, departed_at timestamptz, origin text, destination text,"
                  " distance_miles integer, delay_minutes integer")


def nothing():
    """Prepare nothing."""


def choose(bench, size, names):
    """List variants of a size as (label, prepare, run), each for its indexes."""
    return [(f"{name} {suffix}", *bench.variants.named(name, size, suffix))
            for name, suffixes in names for suffix in suffixes]


def big(bench):
    """Whole tables, changed in every pattern."""
    rarely = () if bench.quick else "n"
    bench.take_turns("big", choose(bench, "big", [
        ("dblink create", (*rarely, "i")), ("dblink refresh", "ni"),
        ("fdw 100", (*rarely, "i")), ("fdw 10000", (*rarely, "i")), ("pipe", "ni"),
        ("ours first fill", "ni"), ("ours refill", "ni"), ("sink", "n"),
        ("dblink concurrently unchanged", "i"), ("dblink concurrently scattered", "i"),
        ("ours unchanged", "i"), *(("ours " + pattern, "i") for pattern in PATTERNS)]))


def small(bench):
    """10,000 rows, and none."""
    for size in ("ten", "none"):
        bench.take_turns(size, choose(bench, size, [
            *((name, "ni") for name in LOADS), ("sink", "n"),
            ("ours unchanged", "i"), ("ours unchanged inline", "i")]))


def wal(bench):
    """What an unchanged slice writes; and what others write the second time,
    when no checkpoint makes every page they touch go into the WAL whole."""
    prepare, run = bench.variants.named("ours unchanged", "big", "i")

    def one_run():
        since = observe.wal_position(bench.variants.boss)
        run()
        return observe.wal_by_relation(bench.variants.boss, since, SLICE)

    def measured():
        prepare()
        run()
        execute(bench.variants.boss, "CHECKPOINT")
        return {"after_checkpoint": one_run(), "later": one_run()}

    def without_checkpoint(name):
        prepare_it, run_it = bench.variants.named(name, "big", "i")
        prepare_it()
        run_it()
        prepare_it()
        since = observe.wal_position(bench.variants.boss)
        run_it()
        return observe.wal_bytes(bench.variants.boss, since)

    bench.results["wal_unchanged"] = bench.attempt("wal: unchanged", measured)
    bench.results["wal_without_checkpoint"] = {
        name: bench.attempt(f"wal: {name}", lambda: without_checkpoint(name))
        for name in ("ours unchanged", "ours scattered", "ours appended", "ours refill",
                     "dblink refresh", "dblink concurrently scattered")}


def memory(bench):
    """Peak private memory of a fresh backend, or of the worker it starts."""
    peaks = bench.results["memory_kb"] = {}

    def measured(name, size, suffix):
        prepare, run = bench.variants.named(name, size, suffix)
        prepare()
        bench.variants.reconnect()
        backend = bench.variants.owner if name.startswith("ours") else bench.variants.boss
        return observe.peak_memory_kb(backend, run)

    for name, suffix in (("dblink refresh", "n"), ("fdw 10000", "n"),
                         ("ours first fill", "n"), ("ours refill", "n"),
                         ("ours unchanged", "i"), ("ours refill", "i"),
                         ("ours scattered", "i"), ("ours half", "i")):
        sizes = ("big",) if name.split()[-1] in PATTERNS else ("none", "ten", "big")
        peaks[f"{name} {suffix}"] = {
            size: bench.attempt(f"memory: {name} {suffix} {size}",
                                lambda: measured(name, size, suffix))
            for size in sizes}


def readers(bench):
    """The longest wait of a reader during a refresh, and when nothing runs."""
    stalls = bench.results["stall_ms"] = {}

    def measured(name, relation):
        sql = f"SELECT store FROM {relation} WHERE id = 4711"
        prepare, run = bench.variants.named(name, "big", "i")
        prepare()
        execute(bench.variants.boss, "CHECKPOINT")
        begun = time.perf_counter()
        busy = observe.worst_stall_ms(sql, run)
        seconds = time.perf_counter() - begun
        return {"busy": busy, "idle": observe.worst_stall_ms(sql, lambda: time.sleep(seconds))}

    for _ in bench.rounds("readers"):
        for name, relation in (
                ("ours refill", SLICE), ("ours unchanged", SLICE),
                ("dblink refresh", "rival.dblink_refresh_big_i"),
                ("dblink concurrently unchanged", "rival.dblink_concurrently_big_i")):
            pair = bench.attempt(f"readers: {name}", lambda: measured(name, relation))
            if pair:
                stalls.setdefault(name, []).append(pair)


def far(bench):
    """10,000 rows from a source 50 ms away and back, on new connections."""
    trips = bench.results["round_trips"] = {}
    ways = bench.variants
    ways.create_rival("rival.far_dblink", variants.by_dblink(
        "SELECT * FROM src_ten", variants.conninfo(bench.proxy.port)), "i")
    for fetch_size in (100, 10000):
        ways.create_rival(f"rival.far_fdw_{fetch_size}",
                          f"SELECT * FROM rival.far_{fetch_size}_ten", "i")

    def rival(name):
        execute(ways.boss, f"REFRESH MATERIALIZED VIEW rival.far_{name}")

    def ours(method):
        return variants.reported(variants.refresh(ways.owner, "ten_i", "far", method=method))

    def counted(label, action, argument):
        def run():
            before = bench.proxy.trips.value
            said = action(argument)
            trips.setdefault(label, []).append(bench.proxy.trips.value - before)
            return said
        return label, ways.reconnect, run

    bench.attempt("far: first load", lambda: ours(None))
    bench.take_turns("far", [
        counted("dblink", rival, "dblink"), counted("fdw 10000", rival, "fdw_10000"),
        counted("fdw 100", rival, "fdw_100"), counted("ours refill", ours, "refill"),
        counted("ours unchanged", ours, "delta"), counted("ours as it chooses", ours, None)])


def tenants(bench):
    """1, 2 and 4 tenants: dblink one by one, ours with up to 4 workers."""
    ways = bench.variants
    for number in range(1, 5):
        ways.create_rival(f"rival.quarter_{number}", variants.by_dblink(
            "SELECT * FROM src_quarter",
            variants.conninfo(database=f"t{number}")), "i")

    def one_by_one(count):
        for number in range(1, count + 1):
            execute(ways.boss, f"REFRESH MATERIALIZED VIEW rival.quarter_{number}")

    def ours(count, workers, method):
        variants.refresh(ways.owner, f"quarter_{count}", None, method=method, parallel=workers)

    def later(action, *arguments):
        return lambda: action(*arguments)

    runs = []
    for count in (1, 2, 4):
        bench.attempt(f"tenants: first load of {count}", later(ours, count, None, None))
        runs += [(f"dblink {count}", nothing, later(one_by_one, count)),
                 (f"ours as it chooses {count}", nothing, later(ours, count, None, None))]
        runs += [(f"ours {what} {count} workers {workers}", nothing,
                  later(ours, count, workers, method))
                 for what, method in (("refill", "refill"), ("unchanged", "delta"))
                 for workers in (1, 2, 4) if workers <= count]
    bench.take_turns("tenants", runs)


def slices(bench):
    """The first load of the demo's slices, over TLS and over a socket."""
    days = 30 if bench.quick else 90
    bench.results["slices"] = days * len(AIRPORTS)
    bench.take_turns("slices", [
        ("dblink tls", *slices_by_dblink(bench, days, (
            f"host=localhost port={TENANT_PORT} user=scram password={PASSWORD}"
            f" sslmode=verify-full sslrootcert={servers.SCRATCH}/server.crt"))),
        ("dblink socket", *slices_by_dblink(
            bench, days, f"host={SOCKET} port={TENANT_PORT} user=reader")),
        ("ours tls", *slices_by_us(bench, days, "tls")),
        ("ours socket", *slices_by_us(bench, days, "socket"))])


def slices_by_dblink(bench, days, where):
    """What a user without us would run, slice by slice."""
    boss = servers.connect(WAREHOUSE_PORT, "postgres", "postgres")

    def prepare():
        for airport in AIRPORTS:
            execute(boss, f"DROP SCHEMA IF EXISTS rival_{airport} CASCADE")
            execute(boss, f"CREATE SCHEMA rival_{airport}")

    def load(airport, day):
        relation = f"rival_{airport}.flights_{day:%Y_%m_%d}"
        execute(boss, f"""
            CREATE MATERIALIZED VIEW {relation} AS
            SELECT * FROM dblink('{where} dbname={airport}',
                $$SELECT * FROM flights
                  WHERE departed_at >= '{day}Z' AND departed_at < '{day + ONE_DAY}Z'$$)
            AS r ({FLIGHT_COLUMNS});
            CREATE UNIQUE INDEX ON {relation} (flight_id);
            CREATE INDEX ON {relation} (departed_at);
            CREATE INDEX ON {relation} (destination)""")

    def run():
        for airport in AIRPORTS:
            for number in range(days):
                load(airport, QUARTER + number * ONE_DAY)

    return prepare, run


def slices_by_us(bench, days, kind):
    """The same, and the views over them, by one CALL."""
    owner = servers.connect(WAREHOUSE_PORT, "postgres", "whadmin")
    template = f"flights_{kind}"
    names = ",".join(f"{airport}_{kind}" for airport in AIRPORTS)
    last = QUARTER + (days - 1) * ONE_DAY

    def prepare():
        if servers.value(owner, "SELECT count(*) FROM _wh.mv_templates"
                                f" WHERE template_name = '{template}'"):
            execute(owner, f"SELECT _wh.drop_template('{template}', drop_data => true)")
        execute(owner, f"""SELECT _wh.add_template('{template}',
            'SELECT * FROM flights WHERE departed_at >= {{DAY_START}} AND departed_at < {{DAY_END}}',
            '{FLIGHT_COLUMNS}',
            'CREATE UNIQUE INDEX {{view_name}}_id ON {{schema}}.{{view_name}} (flight_id);
             CREATE INDEX {{view_name}}_departed ON {{schema}}.{{view_name}} (departed_at);
             CREATE INDEX {{view_name}}_destination ON {{schema}}.{{view_name}} (destination)',
            time_column => 'departed_at', tenants => '{{{names}}}')""")

    def run():
        execute(owner, f"CALL _wh.run_refresh('{template}', NULL, '{QUARTER}', '{last}')")

    return prepare, run


def sync(bench):
    """A table with a key, loaded at once and then by what changed, and the
    same as a snapshot."""
    ways = bench.variants
    source = ways.source.connection
    execute(source, """
        GRANT pg_read_all_stats TO reader;
        CREATE TABLE synced AS
            SELECT *, timestamptz '2024-01-01' + id * interval '1 second' AS updated_at FROM food;
        ALTER TABLE synced ADD PRIMARY KEY (id), ALTER updated_at SET NOT NULL;
        CREATE INDEX ON synced (updated_at);
        GRANT SELECT ON synced TO reader""")
    execute(source, "VACUUM (FREEZE, ANALYZE) synced")
    indexes = "; ".join(f"CREATE INDEX {{view_name}}_{column} ON {{schema}}.{{view_name}} ({column})"
                        for unique, column in servers.INDEXED if not unique)
    for template, kind in (("synced", "incremental"), ("copied", "snapshot")):
        execute(ways.owner, f"""SELECT _wh.add_template('{template}', 'SELECT * FROM synced',
            '{servers.COLUMNS}, updated_at timestamptz', '{indexes}', materialization => '{kind}',
            key_columns => '{{id}}', watermark_column => 'updated_at', tenants => '{{t1}}')""")
    bench.attempt("sync: rival", lambda: empty_rival(ways))
    bench.attempt("sync: rival's rows", lambda: upsert_by_dblink(ways))
    bench.take_turns("sync", [
        ("dblink fill", lambda: empty_rival(ways), lambda: upsert_by_dblink(ways)),
        ("ours fill", lambda: forget(ways, "TABLE", "synced"), lambda: sync_ours(ways, "synced")),
        ("ours snapshot", lambda: forget(ways, "MATERIALIZED VIEW", "copied"),
         lambda: sync_ours(ways, "copied")),
        ("dblink changed", lambda: change_after(ways, upsert_by_dblink),
         lambda: upsert_by_dblink(ways)),
        ("ours changed", lambda: change_after(ways, sync_ours), lambda: sync_ours(ways)),
        ("ours without news", lambda: sync_ours(ways), lambda: sync_ours(ways))])


def empty_rival(ways):
    """What a user without us would make: key and indexes before the rows."""
    execute(ways.boss, f"""
        DROP TABLE IF EXISTS rival.synced;
        CREATE TABLE rival.synced ({servers.COLUMNS}, updated_at timestamptz, PRIMARY KEY (id));
        """ + "".join(f"CREATE INDEX ON rival.synced ({column});"
                      for unique, column in servers.INDEXED if not unique))


def forget(ways, kind, name):
    execute(ways.owner, f"DROP VIEW IF EXISTS public.{name}; DROP {kind} IF EXISTS t1.{name}")


def change_after(ways, bring_up_to_date):
    """Change 10,000 rows, all over the table, which the way has not seen."""
    bring_up_to_date(ways)
    execute(ways.source.connection, """
        UPDATE synced SET price = price + 1, updated_at = clock_timestamp()
        WHERE id % ((SELECT count(*) FROM synced) / 10000) = 0""")
    execute(ways.source.connection, "VACUUM synced")


def upsert_by_dblink(ways):
    """The rule of the document, by dblink, since the last row that came."""
    since = servers.value(ways.boss,
                          "SELECT COALESCE(max(updated_at), '-infinity')::text FROM rival.synced")
    names = [column.split()[0] for column in servers.COLUMNS.split(", ")] + ["updated_at"]
    execute(ways.boss, f"""
        INSERT INTO rival.synced SELECT * FROM dblink('{variants.conninfo()}',
            $$SELECT * FROM synced WHERE updated_at > '{since}'$$)
            AS r ({servers.COLUMNS}, updated_at timestamptz)
        ON CONFLICT (id) DO UPDATE SET
            {', '.join(f'{name} = excluded.{name}' for name in names[1:])}""")


def sync_ours(ways, template="synced"):
    rows = execute(ways.owner, f"SELECT * FROM _wh.wh_refresh('{template}', 't1')")
    if rows[0]["status"] != "loaded":
        raise RuntimeError(rows[0]["message"])
    return variants.reported(rows)


def archive(bench):
    """The same rows, archived and not: a snapshot made anew with its indexes, and
    one that finds nothing changed."""
    ways = bench.variants
    indexes = "; ".join(f"CREATE {unique} INDEX {{view_name}}_{column} ON {{schema}}.{{view_name}}"
                        f" ({column})" for unique, column in servers.INDEXED)
    for template, kept in (("plain", "false"), ("kept", "true")):
        execute(ways.owner, f"""SELECT _wh.add_template('{template}', 'SELECT * FROM src_big',
            '{servers.COLUMNS}', '{indexes}', materialization => 'snapshot', tenants => '{{t1}}',
            options => '{{"archive": {kept}, "archive_required": {kept}}}')""")

    def load(template):
        execute(ways.owner, f"CALL _wh.run_refresh('{template}', 't1')")
        return variants.reported(execute(ways.owner, f"""
            SELECT * FROM _wh.extract_runs WHERE template_name = '{template}'
            ORDER BY run_id DESC LIMIT 1"""))

    def variant(label, template, prepare):
        return (label, lambda: prepare(ways, "MATERIALIZED VIEW", template),
                lambda: load(template))

    def present(ways, _, template):
        ways.source.show("food")
        if not ways.exists(f"t1.{template}"):
            load(template)

    bench.take_turns("archive", [
        variant("first fill", "plain", forget), variant("first fill archived", "kept", forget),
        variant("unchanged", "plain", present), variant("unchanged archived", "kept", present)])


PARTS = {part.__name__: part
         for part in (big, small, wal, memory, readers, far, tenants, slices,
                      years.rollup, years.late, sync, archive)}
