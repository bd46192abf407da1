"""The two servers: connections, set-up, and the source's states of change."""

import os
import subprocess

import psycopg2
import psycopg2.extras

SCRATCH = os.environ["SCRATCH"]
SOCKET = SCRATCH + "/run"
TENANT_PORT = int(os.environ["TENANT_PORT"])
WAREHOUSE_PORT = int(os.environ["WAREHOUSE_PORT"])
PASSWORD = os.environ["PASSWORD"]
HERE = os.path.dirname(os.path.abspath(__file__))
AIRPORTS = ("atl", "dfw", "lax", "ord", "phx")
COLUMNS = ("id bigint, logged_time timestamptz, store text, item uuid, detail jsonb, "
           "price numeric(10,2), amount integer, rating smallint, vegetarian boolean, "
           "expires date, weight double precision, note text")
INDEXED = (("UNIQUE", "id"), ("", "logged_time"), ("", "store"))


def connect(port, dbname, user):
    """Connect over the socket; every statement commits by itself."""
    connection = psycopg2.connect(host=SOCKET, port=port, dbname=dbname, user=user,
                                  cursor_factory=psycopg2.extras.RealDictCursor)
    connection.autocommit = True
    execute(connection, "SET client_min_messages = warning")
    return connection


def execute(connection, sql):
    """Run one statement; return its rows, if it has any."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def value(connection, sql):
    """Return the only value of a query."""
    return next(iter(execute(connection, sql)[0].values()))


def psql_command(port, dbname, *arguments):
    return ["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-h", SOCKET, "-p", str(port),
            "-U", "postgres", "-d", dbname, *arguments]


def psql(port, dbname, *arguments):
    subprocess.run(psql_command(port, dbname, *arguments), check=True,
                   stdout=subprocess.DEVNULL)


def script(name):
    return ["-f", os.path.join(HERE, name)]


def make_tenants(rows):
    """Make t1 with all sizes and states, t2 to t4, and the airports."""
    boss = connect(TENANT_PORT, "postgres", "postgres")
    execute(boss, "CREATE ROLE reader LOGIN")
    execute(boss, f"CREATE ROLE scram LOGIN PASSWORD '{PASSWORD}' IN ROLE reader")
    for number in range(1, 5):
        database = f"t{number}"
        execute(boss, f"CREATE DATABASE {database}")
        psql(TENANT_PORT, database, "-v", f"rows={rows // 4}",
             *script("food.sql"), *script("quarter.sql"))
    psql(TENANT_PORT, "t1", "-v", f"rows={rows}", *script("source.sql"))
    for airport in AIRPORTS:
        execute(boss, f"CREATE DATABASE {airport}")
        psql(TENANT_PORT, airport, "-v", f"origin={airport.upper()}",
             "-v", f"file={os.environ['FLIGHTS']}", *script("airport.sql"))
    execute(boss, "CHECKPOINT")


def make_warehouse(far_port):
    """Set up the extension and its rivals; add the airports twice."""
    psql(WAREHOUSE_PORT, "postgres", "-v", f"port={TENANT_PORT}",
         "-v", f"far_port={far_port}", "-v", f"columns={COLUMNS}",
         *script("warehouse.sql"))
    boss = connect(WAREHOUSE_PORT, "postgres", "postgres")
    for airport in AIRPORTS:
        execute(boss, f"SELECT _wh.add_tenant('{airport}_tls', 'localhost', '{airport}',"
                      f" 'scram', {TENANT_PORT})")
        execute(boss, f"SELECT _wh.set_tenant_password('{airport}_tls', '{PASSWORD}')")
        execute(boss, f"SELECT _wh.add_tenant('{airport}_socket', '{SOCKET}', '{airport}',"
                      f" 'reader', {TENANT_PORT}, sslmode => 'disable', auth_method => 'trusted')")


class Source:
    """The first tenant's views, and which table each of them shows."""

    def __init__(self):
        self.connection = connect(TENANT_PORT, "t1", "postgres")
        self.shown = "food"

    def show(self, table):
        """Let src_big show a table: the source has changed."""
        if table != self.shown:
            execute(self.connection, f"CREATE OR REPLACE VIEW src_big AS TABLE {table}")
            self.shown = table
