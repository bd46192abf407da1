"""A year of days: rolled up, changed a day at a time, and read meanwhile.

The rival does by hand what the architecture document's function does: INSERT
... SELECT and count(*) day by day, then the indexes and ANALYZE.
"""

import datetime
import time

import observe
import servers
import variants
from servers import COLUMNS, TENANT_PORT, execute
from variants import ONE_DAY

YEAR = 2023
FIRST = datetime.date(YEAR, 1, 1)
LAST = datetime.date(YEAR, 12, 31)
DAYS = 365
LATE = f"{YEAR}-07-01"
INDEXES = """CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id);
             CREATE INDEX {view_name}_time ON {schema}.{view_name} (logged_time);
             CREATE INDEX {view_name}_store ON {schema}.{view_name} (store)"""


def make_source(rows_a_day):
    """Make a year of rows at the first tenant."""
    source = servers.connect(TENANT_PORT, "t1", "postgres")
    execute(source, f"""
        CREATE TABLE year AS
        SELECT id, timestamptz '{FIRST}Z' + (id - 1) * (interval '1 day' / {rows_a_day}) AS logged_time,
               store, item, detail, price, amount, rating, vegetarian, expires, weight, note
        FROM made(1, {rows_a_day} * {DAYS});
        CREATE INDEX ON year (logged_time);
        CREATE VIEW src_year AS TABLE year;
        GRANT SELECT ON src_year TO reader;
        ANALYZE year""")
    return source


def show(source, changed):
    """Let the source have its rows as they were, or with 1 % of them changed."""
    price = "CASE WHEN id % 100 = 0 THEN price + 1 ELSE price END" if changed else "price"
    execute(source, f"""
        CREATE OR REPLACE VIEW src_year AS
        SELECT id, logged_time, store, item, detail, ({price})::numeric(10,2) AS price, amount,
               rating, vegetarian, expires, weight, note
        FROM year""")


def add_template(owner, name):
    execute(owner, f"""SELECT _wh.add_template('{name}',
        'SELECT * FROM src_year WHERE logged_time >= {{DAY_START}} AND logged_time < {{DAY_END}}',
        '{COLUMNS}', '{INDEXES}', time_column => 'logged_time', tenants => '{{t1}}')""")


def load(owner, name, first, last):
    failed = servers.value(owner, f"""SELECT count(*) FROM _wh.wh_refresh('{name}', 't1',
        '{first}', '{last}') WHERE status <> 'loaded'""")
    if failed:
        raise RuntimeError(f"{name}: {failed} days were not loaded")


def roll_up(owner):
    """Call the year's function; return what the log says of it."""
    report = servers.value(owner, f"""
        SELECT _wh.create_combined_table_from_template_by_year('year', 't1', {YEAR})""")
    if report["status"] != "rolled_up":
        raise RuntimeError(str(report))
    return execute(owner, """SELECT method, load_ms FROM _wh.extract_runs
        WHERE kind = 'rollup' ORDER BY run_id DESC LIMIT 1""")[0]


def prepare_days(bench):
    """Let the days be daily slices again."""
    owner = bench.variants.owner
    if servers.value(owner, "SELECT count(*) FROM _wh.mv_templates WHERE template_name = 'year'"):
        execute(owner, "SELECT _wh.drop_template('year', drop_data => true)")
    add_template(owner, "year")
    load(owner, "year", FIRST, LAST)
    execute(bench.variants.boss, "CHECKPOINT")


def by_hand(bench):
    """One transaction, as the document's function is; the days stay."""
    boss = bench.variants.boss

    def run():
        execute(boss, "DROP TABLE IF EXISTS rival.year")
        execute(boss, f"""
            CREATE TABLE rival.year ({COLUMNS});
            DO $$
            DECLARE
                day regclass;
                moved bigint;
                counted bigint;
            BEGIN
                FOR day IN SELECT format('%I.%I', relation_schema, relation_name) FROM _wh.slices
                           WHERE template_name = 'year' ORDER BY period_start
                LOOP
                    EXECUTE format('INSERT INTO rival.year SELECT * FROM %s', day);
                    GET DIAGNOSTICS moved = ROW_COUNT;
                    EXECUTE format('SELECT count(*) FROM %s', day) INTO counted;
                    IF moved <> counted THEN RAISE 'lost rows of %', day; END IF;
                END LOOP;
            END $$;
            CREATE UNIQUE INDEX ON rival.year (id);
            CREATE INDEX ON rival.year (logged_time);
            CREATE INDEX ON rival.year (store);
            ANALYZE rival.year""")

    return run


def rollup(bench):
    """A year of days, by hand and by us; and what a reader sees of ours."""
    rows_a_day = 300 if bench.quick else 3000
    bench.results["year_rows"] = rows_a_day * DAYS
    make_source(rows_a_day)
    hand = by_hand(bench)
    stalls = bench.results.setdefault("stall_ms", {}).setdefault("ours roll-up", [])
    sql = (f"SELECT store FROM t1.year WHERE id = 4711 AND logged_time >= '{FIRST}Z'"
           f" AND logged_time < '{FIRST + 30 * ONE_DAY}Z'")

    # The rival leaves the days as they are, so we come last.
    for _ in bench.rounds("rollup"):
        bench.attempt("rollup: days", lambda: prepare_days(bench))
        bench.time("rollup", "by hand", lambda: None, hand)
        bench.time("rollup", "ours", lambda: None, lambda: roll_up(bench.variants.owner))

        bench.attempt("rollup: days", lambda: prepare_days(bench))
        begun = time.perf_counter()
        busy = bench.attempt("rollup: reader", lambda: observe.worst_stall_ms(
            sql, lambda: roll_up(bench.variants.owner)))
        seconds = time.perf_counter() - begun
        if busy is not None:
            stalls.append({"busy": busy, "idle": observe.worst_stall_ms(
                sql, lambda: time.sleep(seconds))})


def late(bench):
    """1 % of a day changes: the day by itself, and inside its year's table."""
    owner = bench.variants.owner
    source = servers.connect(TENANT_PORT, "t1", "postgres")

    def variant(name):
        def prepare():
            show(source, False)
            variants.refresh(owner, name, day=LATE)
            show(source, True)

        return name, prepare, lambda: variants.reported(
            variants.refresh(owner, name, day=LATE, method="delta"))

    add_template(owner, "day")
    load(owner, "day", LATE, LATE)
    bench.take_turns("late", [variant("day"), variant("year")])
    show(source, False)
