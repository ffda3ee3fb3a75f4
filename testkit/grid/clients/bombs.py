"""Requests that are small to send and costly to take, or that never end, and handshakes that stop half-way.

`--port N --seconds S [--ca FILE] [--token TEXT]`: sends each bomb to 127.0.0.1, over TLS if there is a CA, and prints
one JSON line for each: what was sent, and what came of it (`taken` says whether it was answered as if it were good). `--hold N`: sends N large
bodies at once instead, none of them to its end.
"""

import argparse
import gzip
import io
import json
import re
import socket
import ssl
import time
from collections.abc import Iterable

MIB = 1024 * 1024
PATH = "/agents/py1-jsonrpc"


class Target:
    def __init__(self, port: int, ca: str | None, token: str | None, seconds: float) -> None:
        self.port, self.token, self.seconds = port, token, seconds
        self.context = ssl.create_default_context(cafile=ca) if ca else None

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def open(self) -> socket.socket:
        plain = self.raw()
        return self.context.wrap_socket(plain, server_hostname="localhost") if self.context else plain

    def head(self, *more: str, verb: str = "POST", path: str = PATH) -> bytes:
        lines = [f"{verb} {path} HTTP/1.1", "host: localhost", "content-type: application/json", "a2a-version: 1.0", *more]
        if self.token:
            lines.append(f"authorization: Bearer {self.token}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def send(self, pieces: Iterable[bytes]) -> dict:
        """Sends until it is refused, the pieces end or the time is over; then reads the answer."""
        one, sent, deadline = self.open(), 0, time.monotonic() + self.seconds
        try:
            for piece in pieces:
                if time.monotonic() > deadline:
                    break
                sent += len(piece)
                one.sendall(piece)
        except OSError:
            pass
        answer = b""
        try:
            one.settimeout(self.seconds)
            while b"\r\n\r\n" not in answer or len(answer) < 1024:
                more = one.recv(65536)
                if not more:
                    break
                answer += more
                one.settimeout(0.3)
        except OSError:
            pass
        one.close()
        return verdict(sent, answer)

    def body(self, body: bytes, *more: str) -> dict:
        return self.send([self.head(f"content-length: {len(body)}", *more), body])


def verdict(sent: int, answer: bytes) -> dict:
    status = int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
    taken = 200 <= status < 300 and b'"error"' not in answer
    code = re.search(rb"MG-\d{4}", answer)
    return {"sent": sent, "status": status, "code": code.group().decode() if code else "", "taken": taken}


def call(params: str, call_id: str = "1") -> bytes:
    return f'{{"jsonrpc":"2.0","id":{call_id},"method":"SendMessage","params":{params}}}'.encode()


def message(more: str = "") -> str:
    return '{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"message x"}]' + more + "}}"


def squeezed() -> bytes:
    """A gigabyte of blanks in a megabyte."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as packed:
        packed.write(b'{"jsonrpc":"2.0","id":1,')
        for _ in range(1024):
            packed.write(b" " * MIB)
    return out.getvalue()


def endless(first: bytes, piece: bytes) -> Iterable[bytes]:
    yield first
    while True:
        yield piece


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return f"{len(data):x}".encode() + extension + b"\r\n" + data + b"\r\n"


def bombs(target: Target) -> dict:
    open_line = target.head("x: y").removesuffix(b"\r\n")
    chunked = target.head("transfer-encoding: chunked")
    return {
        "ten MiB of brackets": lambda: target.body(b"[" * (10 * MIB)),
        "ten MiB of braces": lambda: target.body(b'{"a":' * (2 * MIB)),
        "a hundred thousand deep": lambda: target.body(
            call(message(f',"metadata":{{"a":{"[" * 100_000}{"]" * 100_000}}}'))),
        "a number of a million digits for an id": lambda: target.body(call(message(), "9" * MIB)),
        "a million parts": lambda: target.body(
            call('{"message":{"messageId":"m","role":"ROLE_USER","parts":[' + ",".join(['{"text":""}'] * 1_000_000) + "]}}")),
        "a gigabyte in a gzip": lambda: target.body(squeezed(), "content-encoding: gzip"),
        "a body beyond the limit": lambda: target.send([target.head(f"content-length: {10 * 1024 * MIB}"), b"[" * MIB]),
        "chunks without end": lambda: target.send(endless(chunked, chunk(b" " * 65536))),
        "chunk extensions without end": lambda: target.send(endless(chunked + b"1;a=", b"x" * 4096)),
        "chunks of one byte": lambda: target.send([chunked, *[chunk(b" ") * 50_000] * 40, b"0\r\n\r\n"]),
        "chunks of one byte, extended, without end": lambda: target.send(endless(chunked, chunk(b" ", b";" + b"x" * 60) * 100)),
        "trailers without end": lambda: target.send(endless(chunked + chunk(b"{}") + b"0\r\n", b"x-more: " + b"y" * 4096 + b"\r\n")),
        "a header of a MiB": lambda: target.send([target.head("x-big: " + "x" * MIB)]),
        "headers without end": lambda: target.send(endless(open_line, b"x-more: y\r\n" * 100)),
        "a path without end": lambda: target.send(endless(b"GET /", b"a" * 4096)),
    }


def half_open(target: Target) -> dict:
    """Connections that stop in the middle of the handshake, or before it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = target.context or ssl.create_default_context()
    hello = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        hello.do_handshake()
    except ssl.SSLWantReadError:
        pass
    first = outgoing.read()
    held, sent = [], 0
    for number in range(600):
        one = target.raw()
        held.append(one)
        try:
            part = (b"", first[:40], first)[number % 3]
            one.sendall(part)
            sent += len(part) + 1
        except OSError:
            pass
    time.sleep(target.seconds)
    for one in held:
        one.close()
    return {"sent": sent, "status": 0, "code": "", "taken": False}


def held(target: Target, count: int) -> dict:
    """Bodies of 15 MiB each that are sent but for their last byte."""
    connections, sent, refused = [], 0, 0
    part = b" " * MIB
    for _ in range(count):
        one = target.open()
        one.settimeout(5)
        connections.append(one)
        try:
            one.sendall(target.head(f"content-length: {15 * MIB + 1}"))
            for _ in range(15):
                one.sendall(part)
                sent += len(part)
        except OSError:
            refused += 1
    for one in connections:
        try:
            one.settimeout(0.05)
            refused += one.recv(12)[9:12] == b"429"
        except OSError:
            pass
    time.sleep(target.seconds)
    return {"bomb": "bodies that are held", "sent": sent, "status": 429 if refused else 0, "code": "", "taken": not refused}


def main() -> None:
    parser = argparse.ArgumentParser(description="Requests that are costly to take.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--ca")
    parser.add_argument("--token")
    parser.add_argument("--hold", type=int, help="instead hold so many large bodies")
    flags = parser.parse_args()
    target = Target(flags.port, flags.ca, flags.token, flags.seconds)
    if flags.hold:
        print(json.dumps(held(target, flags.hold)))
        return
    for name, bomb in bombs(target).items():
        print(json.dumps({"bomb": name, **bomb()}), flush=True)
    print(json.dumps({"bomb": "handshakes that stop half-way", **half_open(target)}), flush=True)


if __name__ == "__main__":
    main()
