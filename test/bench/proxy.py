"""A proxy that makes a server far away: every byte is 25 ms late each way.

It counts, after the TCP connect, how often a connection's client spoke again
after the server had: the round trips.
"""

import heapq
import multiprocessing
import selectors
import socket
import time

DELAY = 0.025
CHUNK = 1 << 18


class Proxy:
    """One process that forwards connections to a port of 127.0.0.1."""

    def __init__(self, target):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.trips = multiprocessing.Value("i", 0)
        self.process = multiprocessing.get_context("fork").Process(
            target=self.serve, args=(target,), daemon=True)
        self.process.start()

    def stop(self):
        self.listener.close()
        self.process.terminate()
        self.process.join()

    def serve(self, target):
        ready = selectors.DefaultSelector()
        ready.register(self.listener, selectors.EVENT_READ)
        late = []               # (due, number, destination or None, bytes, from client)
        number = 0
        spoke = {}              # client socket: True when the client spoke last

        while True:
            wait = max(0, late[0][0] - time.monotonic()) if late else None
            for key, _ in ready.select(wait):
                if key.fileobj is self.listener:
                    client, _ = self.listener.accept()
                    server = socket.create_connection(("127.0.0.1", target))
                    for end, other in ((client, server), (server, client)):
                        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        ready.register(end, selectors.EVENT_READ, (other, client))
                    continue
                source, (destination, client) = key.fileobj, key.data
                try:
                    data = source.recv(CHUNK)
                except OSError:
                    data = b""
                if not data:
                    ready.unregister(source)
                elif source is client:
                    spoke[client] = True
                elif spoke.get(client):
                    # Words that nobody answers, as a good-bye, are no trip.
                    spoke[client] = False
                    self.trips.value += 1
                number += 1
                heapq.heappush(late, (time.monotonic() + DELAY, number, destination, data))

            while late and late[0][0] <= time.monotonic():
                _, _, destination, data = heapq.heappop(late)
                try:
                    if data:
                        destination.sendall(data)
                    else:
                        destination.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
