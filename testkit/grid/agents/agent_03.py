"""An agent of PyPI a2a-sdk 0.3.x (A2A 0.3) that speaks exactly one transport.

`--binding JSONRPC|HTTP+JSON|GRPC --port N` (0 picks one). Prints `READY <port>`; the 0.3 card is at that port's
well-known place. With GRPC the card has an HTTP port of its own and names the gRPC port. What it answers is
decided by the text of the message: see `testkit/grid/README.md`.
"""

import argparse
import asyncio
import socket

import grpc
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from a2a.grpc import a2a_pb2_grpc
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.apps import A2ARESTFastAPIApplication, A2AStarletteApplication
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler, GrpcHandler
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.types import AgentCapabilities, AgentCard, AgentSkill, Part, TaskState, TextPart
from a2a.utils import new_agent_text_message, new_task


def text_part(text: str) -> Part:
    return Part(root=TextPart(text=text))


class Scripted(AgentExecutor):
    """Does what the first word of the message says."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        text = context.get_user_input()
        word, _, rest = text.partition(" ")
        if word == "message":
            await event_queue.enqueue_event(new_agent_text_message(rest, context_id=context.context_id))
            return
        task = context.current_task
        waiting = task is not None and task.status.state == TaskState.input_required
        if task is None:
            task = new_task(context.message)
            task.id, task.context_id = context.task_id, context.context_id
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        if waiting:
            await updater.add_artifact([text_part(f"answered {text}")], artifact_id="answer", name="answer")
            await updater.complete()
            return
        await getattr(self, f"do_{word}", self.do_echo)(updater, context, rest)

    async def do_echo(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        await updater.add_artifact([text_part(rest)], artifact_id="echo", name="echo")
        await updater.complete()

    async def do_stream(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        count = int(rest or "3")
        await updater.start_work(updater.new_agent_message([text_part("at work")]))
        for number in range(1, count + 1):
            await asyncio.sleep(0.03)
            await updater.add_artifact(
                [text_part(f"chunk{number} ")],
                artifact_id="chunks",
                name="chunks",
                append=number > 1,
                last_chunk=number == count,
            )
        await updater.complete()

    async def do_ask(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        await updater.requires_input(updater.new_agent_message([text_part("which colour?")]), final=True)

    async def do_slow(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        await updater.start_work(updater.new_agent_message([text_part("this takes long")]))
        await asyncio.sleep(120)
        await updater.complete()

    async def do_file(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        parts = [part for part in context.message.parts if part.root.kind != "text"]
        await updater.add_artifact(parts, artifact_id="file", name="file")
        await updater.complete()

    async def do_fail(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        await updater.failed(updater.new_agent_message([text_part("it went wrong")]))

    async def do_reject(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        await updater.reject(updater.new_agent_message([text_part("not for me")]))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        task = context.current_task
        await TaskUpdater(event_queue, task.id, task.context_id).cancel()


def card(binding: str, url: str) -> AgentCard:
    return AgentCard(
        name=f"grid 0.3 {binding}",
        description="Scripted agent of the interop grid",
        version="1.0.0",
        url=url,
        preferred_transport=binding,
        capabilities=AgentCapabilities(streaming=True, push_notifications=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="script", name="Script", description="Does what it is told", tags=["grid"])],
    )


def listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(256)
    return listener


async def application(binding: str, port: int):
    grpc_server = grpc.aio.server() if binding == "GRPC" else None
    url = f"127.0.0.1:{grpc_server.add_insecure_port('127.0.0.1:0')}" if grpc_server else f"http://127.0.0.1:{port}"
    described = card(binding, url)
    configs = InMemoryPushNotificationConfigStore()
    handler = DefaultRequestHandler(
        agent_executor=Scripted(),
        task_store=InMemoryTaskStore(),
        push_config_store=configs,
        push_sender=BasePushNotificationSender(httpx.AsyncClient(), configs),
    )
    if binding == "JSONRPC":
        return A2AStarletteApplication(described, handler).build(), None
    if binding == "HTTP+JSON":
        return A2ARESTFastAPIApplication(described, handler).build(), None
    a2a_pb2_grpc.add_A2AServiceServicer_to_server(GrpcHandler(described, handler), grpc_server)
    await grpc_server.start()

    async def serve_card(_request):
        return JSONResponse(described.model_dump(mode="json", by_alias=True, exclude_none=True))

    return Starlette(routes=[Route("/.well-known/agent-card.json", serve_card)]), grpc_server


async def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--port", type=int, default=0)
    flags.add_argument("--binding", choices=["JSONRPC", "HTTP+JSON", "GRPC"], required=True)
    options = flags.parse_args()
    listener = listen(options.port)
    port = listener.getsockname()[1]
    app, _keep = await application(options.binding, port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    print(f"READY {port}", flush=True)
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main())
