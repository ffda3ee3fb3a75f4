"""The grid's scenarios, run by the client of PyPI a2a-sdk 1.x over one transport.

The client reads the card at `--card-url` and uses the interface that the card names for `--transport`, with that
interface's tenant: exactly what a program made with this SDK does.
"""

import asyncio
import contextlib
import json
import urllib.parse
import uuid

import grpc
import httpx
from google.protobuf.json_format import MessageToDict, ParseDict

from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import a2a_pb2 as pb
from harness import Receiver, check, drain, expect_error, options, run

FLAGS = options()
DONE, CANCELED, WORKING = pb.TASK_STATE_COMPLETED, pb.TASK_STATE_CANCELED, pb.TASK_STATE_WORKING
LIVE = (pb.TASK_STATE_SUBMITTED, pb.TASK_STATE_WORKING)
RECEIVER = Receiver()


def message(text: str, *parts: pb.Part, **members: str) -> pb.Message:
    return pb.Message(
        role=pb.ROLE_USER, message_id=str(uuid.uuid4()), parts=[pb.Part(text=text), *parts], **members
    )


def ask(said: pb.Message, **configuration) -> pb.SendMessageRequest:
    return pb.SendMessageRequest(message=said, configuration=pb.SendMessageConfiguration(**configuration))


def text_of(task: pb.Task) -> str:
    return "".join(part.text for artifact in task.artifacts for part in artifact.parts)


class Peer:
    """The SDK's client twice: one that streams, one that does not."""

    def __init__(self, card: pb.AgentCard, http: httpx.AsyncClient) -> None:
        self.card = card

        def make(streaming: bool):
            config = ClientConfig(
                streaming=streaming,
                httpx_client=http,
                grpc_channel_factory=grpc.aio.insecure_channel,
                supported_protocol_bindings=[FLAGS.transport],
            )
            return ClientFactory(config).create(card)

        self.client, self.streaming = make(False), make(True)

    async def send(self, said: pb.Message, **configuration) -> pb.StreamResponse:
        answers = await drain(self.client.send_message(ask(said, **configuration)))
        check(len(answers) == 1, "one answer wanted, got", len(answers))
        return answers[0]

    async def task(self, said: pb.Message, **configuration) -> pb.Task:
        answer = await self.send(said, **configuration)
        check(answer.HasField("task"), "a task wanted, got", answer)
        return answer.task if configuration.get("return_immediately") else await self.settled(answer.task)

    async def settled(self, task: pb.Task, patient: bool = FLAGS.patient == "all") -> pb.Task:
        """With --patient: an agent that answers too early is asked until the task rests."""
        for _ in range(100 if patient else 0):
            if task.status.state not in LIVE:
                break
            await asyncio.sleep(0.05)
            task = await self.get(task.id)
        return task

    async def slow(self) -> pb.Task:
        task = await self.task(message("slow"), return_immediately=True)
        check(task.status.state in LIVE, "still running wanted, got", task.status)
        return task

    async def cancel(self, task_id: str) -> pb.Task:
        return await self.settled(await self.client.cancel_task(pb.CancelTaskRequest(id=task_id)), bool(FLAGS.patient))

    async def get(self, task_id: str, **members) -> pb.Task:
        return await self.client.get_task(pb.GetTaskRequest(id=task_id, **members))


def scenarios(peer: Peer, raw_card: dict) -> dict:
    async def card():
        for member in ("name", "description", "supportedInterfaces", "version", "skills", "capabilities"):
            check(member in raw_card, "the card lacks", member)
        used = [i for i in peer.card.supported_interfaces if i.protocol_binding == FLAGS.transport]
        check(used, "no interface for", FLAGS.transport)
        if FLAGS.proxied:
            own = urllib.parse.urlsplit(FLAGS.base).netloc
            for interface in peer.card.supported_interfaces:
                place = urllib.parse.urlsplit(interface.url).netloc or interface.url
                check(place == own, "the card names", interface.url, "which is not at", own)
            check(peer.card.capabilities.streaming and peer.card.capabilities.push_notifications, "capabilities")
        return used[0].url

    async def send():
        task = await peer.task(message("echo hello grid"))
        check(task.status.state == DONE, "completed wanted, got", task.status)
        check(text_of(task) == "hello grid", "artifact says", text_of(task))
        check(task.id and task.context_id, "ids missing")

    async def bare_message():
        answer = await peer.send(message("message good evening"))
        check(answer.HasField("message"), "a message wanted, got", answer)
        check(answer.message.parts[0].text == "good evening", answer)
        check(answer.message.role == pb.ROLE_AGENT, "role", answer.message.role)

    async def stream():
        events = await drain(peer.streaming.send_message(ask(message("stream 3"))))
        kinds = [event.WhichOneof("payload") for event in events]
        check(kinds[0] == "task", "first the task, got", kinds)
        chunks = [e.artifact_update for e in events if e.HasField("artifact_update")]
        check([c.artifact.parts[0].text for c in chunks] == ["chunk1 ", "chunk2 ", "chunk3 "], "chunks", chunks)
        check([c.append for c in chunks] == [False, True, True] and chunks[-1].last_chunk, "append, last_chunk")
        states = [e.status_update.status.state for e in events if e.HasField("status_update")]
        check(states == [WORKING, DONE], "states", states)
        task = await peer.get(events[0].task.id)
        check(text_of(task) == "chunk1 chunk2 chunk3 ", "after the stream", text_of(task))

    async def stream_message():
        answer = await drain(peer.streaming.send_message(ask(message("message hi"))))
        check(len(answer) == 1 and answer[0].HasField("message"), "streamed message", answer)

    async def get():
        made = await peer.task(message("echo again"))
        task = await peer.get(made.id)
        check(task.id == made.id and task.context_id == made.context_id, "ids", task)
        check(task.status.state == DONE and text_of(task) == "again", "got", task)
        check(any(m.role == pb.ROLE_USER for m in task.history), "the user's message is not in history")
        check(not (await peer.get(made.id, history_length=0)).history, "historyLength 0 gave history")

    async def cancel():
        task = await peer.slow()
        check((await peer.cancel(task.id)).status.state == CANCELED, "canceled wanted")
        check((await peer.get(task.id)).status.state == CANCELED, "get after cancel")

    async def list_tasks():
        first = await peer.task(message("echo listed"))
        second = await peer.task(message("echo listed too"))
        page = await peer.client.list_tasks(pb.ListTasksRequest(context_id=first.context_id))
        check([task.id for task in page.tasks] == [first.id], "by context", page)
        check(not page.tasks[0].artifacts, "artifacts were not asked for")
        page = await peer.client.list_tasks(pb.ListTasksRequest(page_size=1))
        check([task.id for task in page.tasks] == [second.id], "newest first", page)
        check(page.next_page_token and page.total_size >= 2, "a next page and a total", page)
        request = pb.ListTasksRequest(page_size=1, page_token=page.next_page_token, include_artifacts=True)
        page = await peer.client.list_tasks(request)
        check([task.id for task in page.tasks] == [first.id] and text_of(page.tasks[0]) == "listed", "page 2", page)
        page = await peer.client.list_tasks(pb.ListTasksRequest(context_id=first.context_id, status=CANCELED))
        check(not page.tasks and not page.next_page_token, "by status", page)

    async def subscribe():
        task = await peer.slow()

        async def watch():
            return await drain(peer.streaming.subscribe(pb.SubscribeToTaskRequest(id=task.id)))

        watchers = [asyncio.create_task(watch()) for _ in range(2)]
        await asyncio.sleep(0.4)
        await peer.cancel(task.id)
        for events in await asyncio.gather(*watchers):
            check(events and events[0].HasField("task"), "first the task, got", events)
            check(events[0].task.id == task.id, "another task", events[0])
            check(events[-1].status_update.status.state == CANCELED, "ends with", events[-1])

    async def push_config():
        task = await peer.slow()
        made = await peer.client.create_task_push_notification_config(
            pb.TaskPushNotificationConfig(
                task_id=task.id, id="one", url=RECEIVER.url("/unused"), token="t",
                authentication=pb.AuthenticationInfo(scheme="Bearer", credentials="c"),
            )
        )
        check(made.id == "one" and made.url == RECEIVER.url("/unused"), "created", made)
        named = {"task_id": task.id, "id": made.id}
        got = await peer.client.get_task_push_notification_config(pb.GetTaskPushNotificationConfigRequest(**named))
        check(got.url == made.url and got.task_id == task.id and got.token == "t", "got", got)
        listing = pb.ListTaskPushNotificationConfigsRequest(task_id=task.id)
        listed = await peer.client.list_task_push_notification_configs(listing)
        check([config.id for config in listed.configs] == ["one"], "listed", listed)
        removal = pb.DeleteTaskPushNotificationConfigRequest(**named)
        await peer.client.delete_task_push_notification_config(removal)
        listed = await peer.client.list_task_push_notification_configs(listing)
        check(not listed.configs, "still there", listed)
        await peer.cancel(task.id)

    def is_state(state: str):
        def judge(body: dict) -> bool:
            task = body.get("task") or body.get("statusUpdate") or {}
            return task.get("status", {}).get("state") == state

        return judge

    async def push_delivery():
        task = await peer.slow()
        path = f"/set/{task.id}"
        await peer.client.create_task_push_notification_config(
            pb.TaskPushNotificationConfig(
                task_id=task.id, id="d", url=RECEIVER.url(path), token="secret-token",
                authentication=pb.AuthenticationInfo(scheme="Bearer", credentials="letmein"),
            )
        )
        await peer.cancel(task.id)
        post = await RECEIVER.wait(path, is_state("TASK_STATE_CANCELED"))
        check(post["headers"].get("x-a2a-notification-token") == "secret-token", "token", post["headers"])
        check(post["headers"].get("authorization") == "Bearer letmein", "authorization", post["headers"])

    async def push_inline():
        path = f"/inline/{uuid.uuid4()}"
        inline = pb.TaskPushNotificationConfig(url=RECEIVER.url(path), token="inline")
        await peer.task(message("stream 2"), task_push_notification_config=inline)
        await RECEIVER.wait(path, is_state("TASK_STATE_COMPLETED"))

    async def input_required():
        task = await peer.task(message("ask"))
        check(task.status.state == pb.TASK_STATE_INPUT_REQUIRED, "input required wanted, got", task.status)
        check(task.status.message.parts[0].text == "which colour?", task.status)
        task = await peer.task(message("blue", task_id=task.id, context_id=task.context_id))
        check(task.status.state == DONE and text_of(task) == "answered blue", "after the answer", task)
        again = await peer.task(message("ask"))
        events = await drain(peer.streaming.send_message(ask(message("red", task_id=again.id))))
        last = await peer.get(again.id)
        check(last.status.state == DONE and text_of(last) == "answered red", "streamed answer", events, last)

    async def parts():
        data = {"lamp": "kitchen", "level": 0.5, "on": True, "none": None, "deep": [{"a": [1, 2]}]}
        given = [
            pb.Part(raw=bytes(range(256)), filename="all.bin", media_type="application/octet-stream"),
            pb.Part(url="https://files.example/plan.pdf", filename="plan.pdf", media_type="application/pdf"),
            ParseDict({"data": data}, pb.Part()),
        ]
        task = await peer.task(message("file", *given))
        check(len(task.artifacts) == 1, "one artifact", task)
        got = list(task.artifacts[0].parts)
        check([p.WhichOneof("content") for p in got] == ["raw", "url", "data"], "kinds", got)
        check(got[0].raw == given[0].raw and got[0].filename == "all.bin", "raw part", got[0].filename)
        check(got[0].media_type == "application/octet-stream", "media type", got[0].media_type)
        check(got[1].url == given[1].url and got[1].media_type == "application/pdf", "url part", got[1])
        check(MessageToDict(got[2])["data"] == data, "data part", got[2])

    async def failed():
        task = await peer.task(message("fail"))
        check(task.status.state == pb.TASK_STATE_FAILED, "failed wanted, got", task.status)
        check(task.status.message.parts[0].text == "it went wrong", task.status)
        task = await peer.task(message("reject"))
        check(task.status.state == pb.TASK_STATE_REJECTED, "rejected wanted, got", task.status)

    async def unknown_task():
        nobody = str(uuid.uuid4())
        await expect_error(("TaskNotFoundError",), lambda: peer.get(nobody))
        await expect_error(("TaskNotFoundError",), lambda: peer.cancel(nobody))
        await expect_error(("TaskNotFoundError",), lambda: peer.task(message("echo x", task_id=nobody)))
        watch = pb.SubscribeToTaskRequest(id=nobody)
        await expect_error(("TaskNotFoundError",), lambda: drain(peer.streaming.subscribe(watch)))

    async def terminal_task():
        done = await peer.task(message("echo done"))
        more = message("echo more", task_id=done.id)
        await expect_error(("UnsupportedOperationError",), lambda: peer.task(more))
        await expect_error(("TaskNotCancelableError",), lambda: peer.cancel(done.id))
        watch = pb.SubscribeToTaskRequest(id=done.id)
        await expect_error(("UnsupportedOperationError",), lambda: drain(peer.streaming.subscribe(watch)))

    async def bad_params():
        empty = pb.Message(role=pb.ROLE_USER, message_id=str(uuid.uuid4()))
        await expect_error(("InvalidParamsError",), lambda: peer.task(empty))
        page = pb.ListTasksRequest(page_size=1000)
        await expect_error(("InvalidParamsError",), lambda: peer.client.list_tasks(page))
        done = await peer.task(message("echo x"))
        await expect_error(("InvalidParamsError",), lambda: peer.get(done.id, history_length=-1))

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
        raw = (await http.get(FLAGS.card_url, headers={"A2A-Version": "1.0"})).json()
        peer = Peer(card, http)
        with contextlib.redirect_stderr(None):
            await run(scenarios(peer, raw), FLAGS.only)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except Exception as reason:  # noqa: BLE001: why it could not start is a line of the grid
        print(json.dumps({"start": False, "detail": f"{type(reason).__name__}: {reason}"[:800]}), flush=True)
        raise SystemExit(3) from None
