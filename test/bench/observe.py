"""Instruments that run beside what is measured, in processes of their own."""

import gc
import multiprocessing
import re
import subprocess
import time

import servers

MEMORY_PERIOD = 0.004
READER_PAUSE = 0.0005
context = multiprocessing.get_context("fork")


def private_kb(pid):
    """Read a process's private memory, in kB; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def children(postmaster):
    with open(f"/proc/{postmaster}/task/{postmaster}/children", encoding="ascii") as file:
        return set(file.read().split())


def is_helper(pid):
    """Tell core's helpers of an index build from who does the work."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"parallel worker" in file.read()
    except OSError:
        return False


def sample_memory(postmaster, backend, known, stop, answer):
    """Find the peaks of a backend and of the workers it starts: while rows
    stream, and of the whole, with ANALYZE and its sample."""
    connection = servers.connect(servers.WAREHOUSE_PORT, "postgres", "postgres")
    streaming, whole = {backend: private_kb(backend)}, {backend: 0}
    ignored = {*known, str(connection.info.backend_pid)}
    past_streaming = set()
    while not stop.is_set():
        past_streaming |= {str(row["pid"]) for row in servers.execute(
            connection, "SELECT pid FROM pg_stat_progress_analyze")}
        for pid in {backend, *children(postmaster)} - ignored:
            if pid not in whole and pid != backend and is_helper(pid):
                ignored.add(pid)
                continue
            now = private_kb(pid)
            whole[pid] = max(whole.get(pid, 0), now)
            if pid not in past_streaming:
                streaming[pid] = max(streaming.get(pid, 0), now)
        time.sleep(MEMORY_PERIOD)
    answer.send({"streaming": max(streaming.values()), "whole": max(whole.values())})


def peak_memory_kb(connection, action):
    """Run an action; return the largest private memory of any process at it,
    while streaming and as a whole."""
    with open(servers.SCRATCH + "/warehouse/postmaster.pid", encoding="ascii") as file:
        postmaster = file.readline().strip()
    backend = str(connection.info.backend_pid)
    known = children(postmaster) - {backend}
    stop, (here, there) = context.Event(), context.Pipe()
    sampler = context.Process(target=sample_memory,
                              args=(postmaster, backend, known, stop, there))
    sampler.start()
    try:
        action()
    finally:
        stop.set()
        peak = here.recv()
        sampler.join()
    return peak


def read_again_and_again(sql, started, stop, answer):
    """Query every half millisecond; tell the longest answer time."""
    connection = servers.connect(servers.WAREHOUSE_PORT, "postgres", "postgres")
    cursor = connection.cursor()
    for _ in range(100):
        cursor.execute(sql)
    worst = 0.0
    gc.disable()
    started.set()
    while not stop.is_set():
        begun = time.perf_counter()
        cursor.execute(sql)
        worst = max(worst, time.perf_counter() - begun)
        time.sleep(READER_PAUSE)
    answer.send(worst)


def worst_stall_ms(sql, action):
    """Run an action while a reader reads; return the longest it waited."""
    started, stop, (here, there) = context.Event(), context.Event(), context.Pipe()
    reader = context.Process(target=read_again_and_again, args=(sql, started, stop, there))
    reader.start()
    started.wait()
    try:
        action()
    finally:
        stop.set()
        worst = here.recv()
        reader.join()
    return worst * 1000


def wal_position(connection):
    return servers.value(connection, "SELECT pg_current_wal_insert_lsn()::text")


def wal_bytes(connection, since):
    return int(servers.value(connection,
                             f"SELECT pg_current_wal_insert_lsn() - '{since}'::pg_lsn"))


def wal_by_relation(connection, since, relation):
    """Split the bytes of WAL since a position into a relation's, its toast and
    indexes included, and the rest.  What the server writes of its own accord
    is neither."""
    files = {row["file"] for row in servers.execute(connection, f"""
        WITH heap AS (SELECT oid, reltoastrelid FROM pg_class WHERE oid = '{relation}'::regclass),
             tables AS (SELECT oid FROM heap UNION SELECT reltoastrelid FROM heap)
        SELECT pg_relation_filenode(oid)::text AS file FROM tables WHERE oid <> 0
        UNION
        SELECT pg_relation_filenode(indexrelid)::text FROM pg_index JOIN tables ON indrelid = oid""")}
    until = wal_position(connection)
    servers.execute(connection, "SELECT pg_switch_wal()")
    dump = subprocess.run(["pg_waldump", "-p", servers.SCRATCH + "/warehouse/pg_wal",
                           "-s", since, "-e", until],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    ours = rest = 0
    for line in dump.stdout.splitlines():
        record = re.match(r"rmgr: (\S+)\s+len \(rec/tot\):\s*\d+/\s*(\d+)", line)
        if not record:
            continue
        if files & set(re.findall(r"rel \d+/\d+/(\d+)", line)):
            ours += int(record[2])
        elif record[1] not in ("XLOG", "Standby"):
            rest += int(record[2])
    return {"slice": ours, "rest": rest}
