"""An agent of PyPI a2a-sdk 1.x that speaks exactly one binding of A2A 1.0.

`--binding JSONRPC|HTTP+JSON|GRPC --port N` (0 picks one). With `--demand a,b` it has a further skill `locked`, whose entry in
the card demands these scopes. Prints `READY <port>`; the card is at that port's
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

from a2a.helpers import new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler, GrpcHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.types import a2a_pb2_grpc
from a2a.types.a2a_pb2 import (
    AgentCapabilities, AgentCard, AgentInterface, AgentSkill, MutualTlsSecurityScheme, OpenIdConnectSecurityScheme, Part,
    SecurityRequirement, SecurityScheme, StringList, Task, TaskState,
)


class Scripted(AgentExecutor):
    """Does what the first word of the message says."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        text = context.get_user_input()
        word, _, rest = text.partition(" ")
        if word == "message":
            reply = new_text_message(rest, context_id=context.context_id)
            await event_queue.enqueue_event(reply)
            return
        task = context.current_task
        if task is None:
            task = new_task_from_user_message(context.message)
            task.id, task.context_id = context.task_id, context.context_id
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        if task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED:
            await updater.add_artifact([new_text_part(f"answered {text}")], artifact_id="answer", name="answer")
            await updater.complete()
            return
        await getattr(self, f"do_{word}", self.do_echo)(updater, context, rest)

    async def do_echo(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        await updater.add_artifact([new_text_part(rest)], artifact_id="echo", name="echo")
        await updater.complete()

    async def do_stream(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        count = int(rest or "3")
        await updater.start_work(updater.new_agent_message([new_text_part("at work")]))
        for number in range(1, count + 1):
            await asyncio.sleep(0.03)
            await updater.add_artifact(
                [new_text_part(f"chunk{number} ")],
                artifact_id="chunks",
                name="chunks",
                append=number > 1,
                last_chunk=number == count,
            )
        await updater.complete()

    async def do_ask(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        await updater.requires_input(updater.new_agent_message([new_text_part("which colour?")]))

    async def do_slow(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        await updater.start_work(updater.new_agent_message([new_text_part("this takes long")]))
        await asyncio.sleep(120)
        await updater.complete()

    async def do_file(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        parts = [copy_of(part) for part in context.message.parts if part.WhichOneof("content") != "text"]
        await updater.add_artifact(parts, artifact_id="file", name="file")
        await updater.complete()

    async def do_fail(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        await updater.failed(updater.new_agent_message([new_text_part("it went wrong")]))

    async def do_reject(self, updater: TaskUpdater, context: RequestContext, rest: str) -> None:
        await updater.reject(updater.new_agent_message([new_text_part("not for me")]))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        task: Task = context.current_task
        await TaskUpdater(event_queue, task.id, task.context_id).cancel()


def copy_of(part: Part) -> Part:
    twin = Part()
    twin.CopyFrom(part)
    return twin


def card(binding: str, url: str, demand: list[str]) -> AgentCard:
    skills = [AgentSkill(id="script", name="Script", description="Does what it is told", tags=["grid"])]
    if demand:
        requirements = [SecurityRequirement(schemes={"own": StringList(list=demand), "mtls": StringList()})]
        locked = AgentSkill(id="locked", name="Locked", description="For who may", tags=["grid"], security_requirements=requirements)
        skills.append(locked)
    described = AgentCard(
        name=f"grid 1.x {binding}",
        description="Scripted agent of the interop grid",
        version="1.0.0",
        supported_interfaces=[AgentInterface(url=url, protocol_binding=binding, protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=True, push_notifications=True),
        default_input_modes=["text/plain", "application/octet-stream", "application/json"],
        default_output_modes=["text/plain", "application/octet-stream", "application/json"],
        skills=skills,
    )
    if demand:
        own = OpenIdConnectSecurityScheme(open_id_connect_url="https://own.invalid/.well-known/openid-configuration")
        described.security_schemes["own"].CopyFrom(SecurityScheme(open_id_connect_security_scheme=own))
        described.security_schemes["mtls"].CopyFrom(SecurityScheme(mtls_security_scheme=MutualTlsSecurityScheme()))
    return described


def listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(256)
    return listener


async def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--port", type=int, default=0)
    flags.add_argument("--binding", choices=["JSONRPC", "HTTP+JSON", "GRPC"], required=True)
    flags.add_argument("--demand", type=lambda text: text.split(","), default=[])
    options = flags.parse_args()
    listener = listen(options.port)
    port = listener.getsockname()[1]
    grpc_server = grpc.aio.server() if options.binding == "GRPC" else None
    url = f"127.0.0.1:{grpc_server.add_insecure_port('127.0.0.1:0')}" if grpc_server else f"http://127.0.0.1:{port}/"
    described = card(options.binding, url.rstrip("/") if options.binding == "HTTP+JSON" else url, options.demand)
    configs = InMemoryPushNotificationConfigStore()
    handler = DefaultRequestHandler(
        agent_executor=Scripted(),
        task_store=InMemoryTaskStore(),
        agent_card=described,
        push_config_store=configs,
        push_sender=BasePushNotificationSender(httpx.AsyncClient(), configs),
    )
    routes = create_agent_card_routes(described)
    if options.binding == "JSONRPC":
        routes += create_jsonrpc_routes(handler, "/")
    elif options.binding == "HTTP+JSON":
        routes += create_rest_routes(handler)
    else:
        a2a_pb2_grpc.add_A2AServiceServicer_to_server(GrpcHandler(handler), grpc_server)
        await grpc_server.start()
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning", lifespan="off"))
    print(f"READY {port}", flush=True)
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main())
