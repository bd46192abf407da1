"""The benchmark's own arithmetic, and its proxy; no server needed."""

import socket
import threading
import time
import unittest

import proxy
import report


def results(**more):
    """Make what a run that measured nothing leaves behind."""
    empty = {"at": "", "commit": "", "quick": False, "rows": 1_000_000, "rounds": {},
             "machine": {"cores": 2, "kernel": "", "server": ""},
             "seconds": {}, "wal_bytes": {}, "reported": {}, "not_built": {}, "failed": {}}
    return empty | more


def rows(measured):
    return {row["figure"]: row for row in report.judge(measured)[1]}


class Ratios(unittest.TestCase):
    def test_pairs_rounds_and_leaves_out_what_failed(self):
        seconds = {"big": {"a": [2.0, None, 9.0, 4.0], "b": [1.0, 1.0, 3.0, 4.0]}}
        self.assertEqual(report.paired(results(seconds=seconds), "big", "a", "b"), 2.0)

    def test_is_none_where_nothing_was_measured(self):
        self.assertIsNone(report.paired(results(), "big", "a", "b"))


class Targets(unittest.TestCase):
    figure = "full refresh (refill), 1M rows, 3 indexes / none, against dblink REFRESH"

    def judged(self, indexed, plain):
        seconds = {"big": {"dblink refresh i": [4.0], "ours refill i": [indexed],
                           "dblink refresh n": [3.0], "ours refill n": [plain]}}
        return rows(results(seconds=seconds))[self.figure]

    def test_met_only_when_every_number_is(self):
        self.assertIs(self.judged(2.0, 1.0)["met"], True)
        self.assertIs(self.judged(2.0, 2.0)["met"], False)
        self.assertEqual(self.judged(2.0, 2.0)["measured"], "2.00 / 1.50")

    def test_not_measured_is_not_met(self):
        row = self.judged(2.0, None)
        self.assertIsNone(row["met"])
        self.assertEqual(row["measured"], "2.00 / not measured")

    def test_worst_pattern_needs_all_patterns(self):
        seconds = {"ours refill i": [1.0], "ours half i": [1.2]}
        figure = "any change pattern or order (the worst) against a forced refill"
        self.assertIsNone(rows(results(seconds={"big": seconds}))[figure]["met"])
        seconds |= {f"ours {pattern} i": [1.5 if pattern == "all" else 1.0]
                    for pattern in report.PATTERNS}
        self.assertEqual(rows(results(seconds={"big": seconds}))[figure]["measured"], "1.50")

    def test_memory_is_what_rows_add(self):
        peaks = {"ours refill n": {size: {"streaming": peak, "whole": 9999} for size, peak in
                                   (("none", 4096), ("ten", 6144), ("big", 8192))}}
        self.assertEqual(report.memory_growth(results(memory_kb=peaks)), [2.0, 4.0])

    def test_stall_is_less_the_idle_one(self):
        pairs = [{"busy": 9.0, "idle": 4.0}, {"busy": 90.0, "idle": 4.0}, {"busy": 5.0, "idle": 4.0}]
        self.assertEqual(report.stall(results(stall_ms={"ours refill": pairs}), "ours refill"), 5.0)


class Far(unittest.TestCase):
    def test_proxy_delays_and_counts_answered_words(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        threading.Thread(target=self.answer, args=(listener,), daemon=True).start()
        far = proxy.Proxy(listener.getsockname()[1])
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", far.port)) as client:
            for _ in range(3):
                client.sendall(b"ping")
                self.assertEqual(client.recv(4), b"pong")
            client.sendall(b"good-bye")
        took = time.monotonic() - begun
        far.stop()
        self.assertEqual(far.trips.value, 3)
        self.assertGreaterEqual(took, 3 * 2 * proxy.DELAY)

    @staticmethod
    def answer(listener):
        with listener.accept()[0] as server:
            while server.recv(100) == b"ping":
                server.sendall(b"pong")


if __name__ == "__main__":
    unittest.main()
