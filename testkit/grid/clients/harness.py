"""What the two Python clients share: running scenarios, a webhook receiver, checks with words.

A scenario is an async function without arguments. It passes when it returns, fails when it raises, and is not
applicable when it raises `NotApplicable`. One JSON line each goes to stdout: {scenario, ok, na?, detail, ms}.
Standard library only: it runs inside each peer's own environment.
"""

import argparse
import asyncio
import json
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LIMIT_SECONDS = 20


class NotApplicable(Exception):
    """The peer's protocol version or library has no such call."""


def check(holds: object, *words: object) -> None:
    if not holds:
        raise AssertionError(" ".join(str(word) for word in words))


def options() -> argparse.Namespace:
    flags = argparse.ArgumentParser()
    flags.add_argument("--base", required=True, help="base URL of the agent, without a trailing slash")
    flags.add_argument("--card-url", required=True, help="where its card is")
    flags.add_argument("--transport", default="JSONRPC", choices=["JSONRPC", "HTTP+JSON", "GRPC"])
    flags.add_argument("--proxied", action="store_true", help="the card may name nothing but the base's own host:port")
    flags.add_argument("--patient", default="", choices=["", "all", "cancel"], help="ask again after early answers")
    flags.add_argument("--only", default="", help="comma list of scenarios")
    return flags.parse_args()


class Receiver:
    """A webhook on a free port of 127.0.0.1; keeps what was posted to it."""

    def __init__(self) -> None:
        self.posts: list[dict] = []
        self.arrived = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with outer.arrived:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    outer.posts.append({"path": self.path, "headers": headers, "body": json.loads(body)})
                    outer.arrived.notify_all()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}{path}"

    async def wait(self, path: str, wanted, seconds: float = 10) -> dict:
        """The first post to `path` for which `wanted(body)` holds."""
        deadline = time.monotonic() + seconds

        def look() -> dict | None:
            with self.arrived:
                while True:
                    here = [post for post in self.posts if post["path"] == path]
                    for post in here:
                        if wanted(post["body"]):
                            return post
                    left = deadline - time.monotonic()
                    if left <= 0:
                        raise AssertionError(f"no such delivery at {path} within {seconds} s; got {here}")
                    self.arrived.wait(left)

        return await asyncio.to_thread(look)


async def expect_error(names: tuple[str, ...], call) -> str:
    """Runs `call()` and demands an exception whose class, or the words it carries, is one of `names`."""
    try:
        answer = await call()
    except NotApplicable:
        raise
    except Exception as error:  # noqa: BLE001: any error of the peer's library is looked at
        seen = f"{type(error).__name__}: {error} {getattr(error, 'error', '')!r}"
        check(any(name in seen for name in names), f"wanted {' or '.join(names)}, got", seen)
        return type(error).__name__
    raise AssertionError(f"wanted {' or '.join(names)}, got an answer: {answer!r}"[:600])


async def drain(events, limit: int = 200) -> list:
    """All events of a stream, to its end."""
    seen = []
    async for event in events:
        seen.append(event)
        check(len(seen) < limit, "stream does not end")
    return seen


async def run(scenarios: dict, only: str) -> None:
    wanted = [name for name in only.split(",") if name]
    for name, scenario in scenarios.items():
        if wanted and name not in wanted:
            continue
        started = time.monotonic()
        line: dict = {"scenario": name, "ok": False, "detail": ""}
        try:
            line["detail"] = str(await asyncio.wait_for(scenario(), LIMIT_SECONDS) or "")
            line["ok"] = True
        except NotApplicable as reason:
            line.update(na=True, detail=str(reason))
        except AssertionError as failure:
            line["detail"] = str(failure)[:800]
        except (asyncio.TimeoutError, TimeoutError):
            line["detail"] = f"not done within {LIMIT_SECONDS} s"
        except Exception as error:  # noqa: BLE001: the grid reports every way to fail
            where = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in where if "/clients/" in frame.filename][-1:]
            place = f" (line {own[0].lineno})" if own else ""
            line["detail"] = f"{type(error).__name__}: {error}{place}"[:800]
        line["ms"] = round((time.monotonic() - started) * 1000)
        print(json.dumps(line), flush=True)
