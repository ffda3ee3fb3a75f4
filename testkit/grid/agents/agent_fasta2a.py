"""An agent of PyPI fasta2a 2.x: an independent A2A 1.0 server that speaks JSON-RPC only.

`--port N` (0 picks one). Prints `READY <port>`. What it answers is decided by the text of the message: see
`testkit/grid/README.md`. The library's own ways are left as they are: it answers a send before the work is done,
never with a bare message, knows neither push configs nor lists, and starts a new task for each message.
"""

import argparse
import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn
from fasta2a import FastA2A
from fasta2a.broker import InMemoryBroker
from fasta2a.schema import Artifact, Message, Part, Skill, TaskIdParams, TaskSendParams
from fasta2a.storage import InMemoryStorage
from fasta2a.worker import Worker


def said(text: str) -> Message:
    return Message(role="agent", parts=[Part(text=text)], message_id=f"m-{text}")


class Scripted(Worker):
    """Runs each task beside the queue, so that a slow one does not hold up its own cancel."""

    def __init__(self, broker: InMemoryBroker, storage: InMemoryStorage) -> None:
        super().__init__(broker=broker, storage=storage)
        self.running: dict[str, asyncio.Task] = {}

    async def run_task(self, params: TaskSendParams) -> None:
        self.running[params["id"]] = asyncio.create_task(self.work(params))

    async def work(self, params: TaskSendParams) -> None:
        text = "".join(part.get("text", "") for part in params["message"]["parts"])
        word, _, rest = text.partition(" ")
        try:
            await getattr(self, f"do_{word}", self.do_echo)(params, rest)
        except asyncio.CancelledError:
            await self.settle(params, "canceled")

    async def settle(self, params: dict, state: str, message: Message | None = None, **members) -> None:
        """Writes the state and tells the stream; a resting state ends it."""
        task = await self.storage.update_task(params["id"], state=state, **members)
        if message is not None:
            task["status"]["message"] = message
        await self.publish_status(params["id"], params["context_id"], state, message)
        if state != "working":
            await self.broker.event_bus.close(params["id"])

    async def give(self, params: TaskSendParams, name: str, parts: list[Part]) -> None:
        artifact = Artifact(artifact_id=name, name=name, parts=parts)
        await self.publish_artifact(params["id"], params["context_id"], artifact)
        await self.settle(params, "completed", new_artifacts=[artifact])

    async def do_echo(self, params: TaskSendParams, rest: str) -> None:
        await self.give(params, "echo", [Part(text=rest)])

    async def do_file(self, params: TaskSendParams, rest: str) -> None:
        await self.give(params, "file", [part for part in params["message"]["parts"] if "text" not in part])

    async def do_stream(self, params: TaskSendParams, rest: str) -> None:
        count = int(rest or "3")
        await self.settle(params, "working", said("at work"))
        texts = [f"chunk{number} " for number in range(1, count + 1)]
        for number, text in enumerate(texts, 1):
            await asyncio.sleep(0.03)
            chunk = Artifact(artifact_id="chunks", name="chunks", parts=[Part(text=text)])
            await self.publish_artifact(
                params["id"], params["context_id"], chunk, append=number > 1, last_chunk=number == count
            )
        whole = Artifact(artifact_id="chunks", name="chunks", parts=[Part(text=text) for text in texts])
        await self.settle(params, "completed", new_artifacts=[whole])

    async def do_ask(self, params: TaskSendParams, rest: str) -> None:
        await self.settle(params, "input-required", said("which colour?"))

    async def do_slow(self, params: TaskSendParams, rest: str) -> None:
        await self.settle(params, "working", said("this takes long"))
        await asyncio.sleep(120)
        await self.settle(params, "completed")

    async def do_fail(self, params: TaskSendParams, rest: str) -> None:
        await self.settle(params, "failed", said("it went wrong"))

    async def do_reject(self, params: TaskSendParams, rest: str) -> None:
        await self.settle(params, "rejected", said("not for me"))

    async def cancel_task(self, params: TaskIdParams) -> None:
        running = self.running.get(params["id"])
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def build_message_history(self, history: list[Message]) -> list[Message]:
        return history

    def build_artifacts(self, result: object) -> list[Artifact]:
        return []


def listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(256)
    return listener


async def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--port", type=int, default=0)
    flags.add_argument("--binding", choices=["JSONRPC"], default="JSONRPC")
    options = flags.parse_args()
    listener = listen(options.port)
    port = listener.getsockname()[1]
    storage = InMemoryStorage()
    broker = InMemoryBroker()
    worker = Scripted(broker, storage)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastA2A) -> AsyncIterator[None]:
        async with app.task_manager, worker.run():
            yield

    modes = ["text/plain", "application/octet-stream", "application/json"]
    skill = Skill(
        id="script",
        name="Script",
        description="Does what it is told",
        tags=["grid"],
        input_modes=modes,
        output_modes=modes,
    )
    app = FastA2A(
        storage=storage,
        broker=broker,
        name="grid fasta2a",
        url=f"http://127.0.0.1:{port}/",
        skills=[skill],
        default_input_modes=modes,
        default_output_modes=modes,
        lifespan=lifespan,
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    print(f"READY {port}", flush=True)
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main())
