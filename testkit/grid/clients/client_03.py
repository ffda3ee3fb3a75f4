"""The grid's scenarios, run by the client of PyPI a2a-sdk 0.3.x (A2A 0.3) over one transport.

0.3 has no list of tasks, and this client can neither list nor delete push configs: those scenarios say so.
"""

import asyncio
import base64
import contextlib
import json
import urllib.parse
import uuid

import grpc
import httpx

from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import (
    DataPart,
    FilePart,
    FileWithBytes,
    FileWithUri,
    GetTaskPushNotificationConfigParams,
    Message,
    Part,
    PushNotificationAuthenticationInfo,
    PushNotificationConfig,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskIdParams,
    TaskPushNotificationConfig,
    TaskQueryParams,
    TaskState,
    TaskStatusUpdateEvent,
    TextPart,
)
from harness import NotApplicable, Receiver, check, drain, expect_error, options, run

FLAGS = options()
LIVE = (TaskState.submitted, TaskState.working)
NOT_FOUND = ("-32001", "TaskNotFound", "HTTP Error 404", "NOT_FOUND")
REFUSED = ("-32004", "-32602", "UnsupportedOperation", "HTTP Error 4", "HTTP Error 5", "UNIMPLEMENTED",
           "INVALID_ARGUMENT", "FAILED_PRECONDITION")
NOT_CANCELABLE = ("-32002", "TaskNotCancelable", "HTTP Error 409", "HTTP Error 400", "UNIMPLEMENTED",
                  "FAILED_PRECONDITION")
INVALID = ("-32602", "HTTP Error 4", "INVALID_ARGUMENT")
RECEIVER = Receiver()


def message(text: str, *parts: Part, **members: str) -> Message:
    return Message(
        role=Role.user, message_id=str(uuid.uuid4()), parts=[Part(root=TextPart(text=text)), *parts], **members
    )


def text_of(task: Task) -> str:
    found = [part.root for artifact in task.artifacts or [] for part in artifact.parts]
    return "".join(part.text for part in found if part.kind == "text")


class Peer:
    """The SDK's client three times: blocking, not blocking, streaming."""

    def __init__(self, card, http: httpx.AsyncClient) -> None:
        self.card = card

        def make(**members):
            config = ClientConfig(
                httpx_client=http,
                grpc_channel_factory=grpc.aio.insecure_channel,
                supported_transports=[FLAGS.transport],
                **members,
            )
            return ClientFactory(config).create(card)

        self.make = make
        self.client = make(streaming=False)
        self.hasty = make(streaming=False, polling=True)
        self.streaming = make(streaming=True)

    async def send(self, said: Message, client=None):
        answers = await drain((client or self.client).send_message(said))
        check(len(answers) == 1, "one answer wanted, got", len(answers))
        return answers[0][0] if isinstance(answers[0], tuple) else answers[0]

    async def task(self, said: Message, client=None) -> Task:
        answer = await self.send(said, client)
        check(isinstance(answer, Task), "a task wanted, got", answer)
        return answer if client is self.hasty else await self.settled(answer)

    async def settled(self, task: Task, patient: bool = FLAGS.patient == "all") -> Task:
        """With --patient: an agent that answers too early is asked until the task rests."""
        for _ in range(100 if patient else 0):
            if task.status.state not in LIVE:
                break
            await asyncio.sleep(0.05)
            task = await self.get(task.id)
        return task

    async def slow(self) -> Task:
        task = await self.task(message("slow"), self.hasty)
        check(task.status.state in LIVE, "still running wanted, got", task.status)
        return task

    async def cancel(self, task_id: str) -> Task:
        return await self.settled(await self.client.cancel_task(TaskIdParams(id=task_id)), bool(FLAGS.patient))

    async def get(self, task_id: str, **members) -> Task:
        return await self.client.get_task(TaskQueryParams(id=task_id, **members))


def scenarios(peer: Peer, raw_card: dict) -> dict:
    async def card():
        for member in ("name", "description", "url", "version", "skills", "capabilities", "protocolVersion"):
            check(member in raw_card, "the card lacks", member)
        if FLAGS.proxied:
            own = urllib.parse.urlsplit(FLAGS.base).netloc
            urls = [peer.card.url, *(i.url for i in peer.card.additional_interfaces or [])]
            for url in urls:
                check((urllib.parse.urlsplit(url).netloc or url) == own, "the card names", url, "not at", own)
            check(peer.card.capabilities.streaming and peer.card.capabilities.push_notifications, "capabilities")
        return peer.card.protocol_version

    async def send():
        task = await peer.task(message("echo hello grid"))
        check(task.status.state == TaskState.completed, "completed wanted, got", task.status)
        check(text_of(task) == "hello grid", "artifact says", text_of(task))
        check(task.id and task.context_id, "ids missing")

    async def bare_message():
        answer = await peer.send(message("message good evening"))
        check(isinstance(answer, Message), "a message wanted, got", answer)
        check(answer.parts[0].root.text == "good evening" and answer.role == Role.agent, answer)

    async def stream():
        events = await drain(peer.streaming.send_message(message("stream 3")))
        check(all(isinstance(event, tuple) for event in events), "events", events)
        updates = [update for _, update in events]
        chunks = [u for u in updates if isinstance(u, TaskArtifactUpdateEvent)]
        texts = [chunk.artifact.parts[0].root.text for chunk in chunks]
        check(texts == ["chunk1 ", "chunk2 ", "chunk3 "], "chunks", texts)
        check([bool(c.append) for c in chunks] == [False, True, True] and chunks[-1].last_chunk, "append, last_chunk")
        changes = [u for u in updates if isinstance(u, TaskStatusUpdateEvent)]
        states = [change.status.state for change in changes]
        check(states == [TaskState.working, TaskState.completed], "states", states)
        check(changes[-1].final, "the last status is not final")
        task = await peer.get(events[0][0].id)
        check(text_of(task) == "chunk1 chunk2 chunk3 ", "after the stream", text_of(task))

    async def stream_message():
        answer = await drain(peer.streaming.send_message(message("message hi")))
        check(len(answer) == 1 and isinstance(answer[0], Message), "streamed message", answer)

    async def get():
        made = await peer.task(message("echo again"))
        task = await peer.get(made.id)
        check(task.id == made.id and task.context_id == made.context_id, "ids", task)
        check(task.status.state == TaskState.completed and text_of(task) == "again", "got", task)
        check(any(m.role == Role.user for m in task.history or []), "the user's message is not in history")

    async def cancel():
        task = await peer.slow()
        check((await peer.cancel(task.id)).status.state == TaskState.canceled, "canceled wanted")
        check((await peer.get(task.id)).status.state == TaskState.canceled, "get after cancel")

    async def list_tasks():
        raise NotApplicable("A2A 0.3 has no list of tasks")

    async def subscribe():
        task = await peer.slow()

        async def watch():
            return await drain(peer.streaming.resubscribe(TaskIdParams(id=task.id)))

        watchers = [asyncio.create_task(watch()) for _ in range(2)]
        await asyncio.sleep(0.4)
        await peer.cancel(task.id)
        for events in await asyncio.gather(*watchers):
            check(events, "no events")
            check(events[-1][0].id == task.id, "another task", events[-1])
            check(events[-1][0].status.state == TaskState.canceled, "ends with", events[-1])

    def config(task_id: str, config_id: str, url: str, token: str) -> TaskPushNotificationConfig:
        bearer = PushNotificationAuthenticationInfo(schemes=["Bearer"], credentials="letmein")
        inner = PushNotificationConfig(id=config_id, url=url, token=token, authentication=bearer)
        return TaskPushNotificationConfig(task_id=task_id, push_notification_config=inner)

    async def push_config():
        task = await peer.slow()
        url = RECEIVER.url("/unused")
        made = await peer.client.set_task_callback(config(task.id, "one", url, "t"))
        check(made.push_notification_config.url == url, "created", made)
        named = GetTaskPushNotificationConfigParams(id=task.id, push_notification_config_id="one")
        got = await peer.client.get_task_callback(named)
        inner = got.push_notification_config
        check(got.task_id == task.id and inner.url == url and inner.id == "one" and inner.token == "t", "got", got)
        await peer.cancel(task.id)
        return "set and get; this client has no list and no delete"

    def is_state(state: str):
        return lambda body: body.get("kind") == "task" and body.get("status", {}).get("state") == state

    async def push_delivery():
        task = await peer.slow()
        path = f"/set/{task.id}"
        await peer.client.set_task_callback(config(task.id, "d", RECEIVER.url(path), "secret-token"))
        await peer.cancel(task.id)
        post = await RECEIVER.wait(path, is_state("canceled"))
        check(post["headers"].get("x-a2a-notification-token") == "secret-token", "token", post["headers"])
        Task.model_validate(post["body"])

    async def push_inline():
        path = f"/inline/{uuid.uuid4()}"
        inline = PushNotificationConfig(url=RECEIVER.url(path), token="inline")
        await peer.task(message("stream 2"), peer.make(streaming=False, push_notification_configs=[inline]))
        await RECEIVER.wait(path, is_state("completed"))

    async def input_required():
        task = await peer.task(message("ask"))
        check(task.status.state == TaskState.input_required, "input required wanted, got", task.status)
        check(task.status.message.parts[0].root.text == "which colour?", task.status)
        task = await peer.task(message("blue", task_id=task.id, context_id=task.context_id))
        check(task.status.state == TaskState.completed and text_of(task) == "answered blue", "answered", task)
        events = await drain(peer.streaming.send_message(message("ask")))
        check(events[-1][0].status.state == TaskState.input_required, "streamed", events)
        again = events[-1][0]
        answer = message("red", task_id=again.id, context_id=again.context_id)
        await drain(peer.streaming.send_message(answer))
        last = await peer.get(again.id)
        check(last.status.state == TaskState.completed and text_of(last) == "answered red", "streamed answer", last)

    async def parts():
        data = {"lamp": "kitchen", "level": 0.5, "on": True, "none": None, "deep": [{"a": [1, 2]}]}
        plan = "https://files.example/plan.pdf"
        octets = base64.b64encode(bytes(range(256))).decode()
        given = [
            FilePart(file=FileWithBytes(bytes=octets, name="all.bin", mime_type="application/octet-stream")),
            FilePart(file=FileWithUri(uri=plan, name="plan.pdf", mime_type="application/pdf")),
            DataPart(data=data),
        ]
        task = await peer.task(message("file", *(Part(root=part) for part in given)))
        check(len(task.artifacts or []) == 1, "one artifact", task)
        got = [part.root for part in task.artifacts[0].parts]
        check([part.kind for part in got] == ["file", "file", "data"], "kinds", got)
        check(base64.b64decode(got[0].file.bytes) == bytes(range(256)), "bytes", got[0])
        check(got[0].file.mime_type == "application/octet-stream", "type", got[0].file.mime_type)
        check(got[0].file.name == "all.bin" and got[1].file.name == "plan.pdf", "names", got)
        check(got[1].file.uri == given[1].file.uri and got[1].file.mime_type == "application/pdf", "uri", got[1])
        check(got[2].data == data, "data part", got[2])

    async def failed():
        task = await peer.task(message("fail"))
        check(task.status.state == TaskState.failed, "failed wanted, got", task.status)
        check(task.status.message.parts[0].root.text == "it went wrong", task.status)
        task = await peer.task(message("reject"))
        check(task.status.state == TaskState.rejected, "rejected wanted, got", task.status)

    async def unknown_task():
        nobody = str(uuid.uuid4())
        await expect_error(NOT_FOUND, lambda: peer.get(nobody))
        await expect_error(NOT_FOUND, lambda: peer.cancel(nobody))
        await expect_error(NOT_FOUND, lambda: peer.task(message("echo x", task_id=nobody)))

    async def terminal_task():
        done = await peer.task(message("echo done"))
        more = message("echo more", task_id=done.id, context_id=done.context_id)
        await expect_error(REFUSED, lambda: peer.task(more))
        await expect_error(NOT_CANCELABLE, lambda: peer.cancel(done.id))

    async def bad_params():
        empty = Message(role=Role.user, message_id=str(uuid.uuid4()), parts=[])
        await expect_error(INVALID, lambda: peer.task(empty))

    async def return_immediately():
        loop = asyncio.get_running_loop()
        started = loop.time()
        task = await peer.slow()
        check(loop.time() - started < 3, "took", loop.time() - started)
        check((await peer.get(task.id)).status.state in LIVE, "no longer running")
        await peer.cancel(task.id)

    return {
        "card": card, "send": send, "message": bare_message, "stream": stream,
        "stream_message": stream_message, "get": get, "cancel": cancel,
        "list": list_tasks, "subscribe": subscribe, "push_config": push_config, "push_delivery": push_delivery,
        "push_inline": push_inline,
        "input_required": input_required, "parts": parts, "failed": failed, "unknown_task": unknown_task,
        "terminal_task": terminal_task, "bad_params": bad_params, "return_immediately": return_immediately,
    }


async def main() -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        base, _, path = FLAGS.card_url.partition("/.well-known/")
        resolver = A2ACardResolver(http, base)
        card = await resolver.get_agent_card(relative_card_path=f"/.well-known/{path}")
        raw = (await http.get(FLAGS.card_url)).json()
        with contextlib.redirect_stderr(None):
            await run(scenarios(Peer(card, http), raw), FLAGS.only)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except Exception as reason:  # noqa: BLE001: why it could not start is a line of the grid
        print(json.dumps({"start": False, "detail": f"{type(reason).__name__}: {reason}"[:800]}), flush=True)
        raise SystemExit(3) from None
