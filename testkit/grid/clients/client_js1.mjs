// The grid's scenarios, run by the client of npm @a2a-js/sdk 1.x over one transport.
//
// Requests are made from, and answers read as, the canonical JSON of A2A 1.0, through the SDK's own codecs.

import { randomUUID } from 'node:crypto';
import { Receiver, check, drain, flags, load, main, pause, refused, same } from './harness.mjs';

const sdk = load('@a2a-js/sdk');
const { ClientFactory, JsonRpcTransportFactory, RestTransportFactory } = load('@a2a-js/sdk/client');
const { GrpcTransportFactory } = load('@a2a-js/sdk/client/grpc');
const FLAGS = flags();
const LIVE = ['TASK_STATE_SUBMITTED', 'TASK_STATE_WORKING'];
const TRANSPORTS = { JSONRPC: JsonRpcTransportFactory, 'HTTP+JSON': RestTransportFactory, GRPC: GrpcTransportFactory };

const request = (text, { parts = [], message = {}, configuration } = {}) =>
  sdk.SendMessageRequest.fromJSON({
    message: { role: 'ROLE_USER', messageId: randomUUID(), parts: [{ text }, ...parts], ...message },
    configuration: configuration && { acceptedOutputModes: [], ...configuration },
  });

const textOf = (task) => (task.artifacts ?? []).flatMap((a) => a.parts.map((p) => p.text ?? '')).join('');

class Peer {
  constructor(client, receiver) {
    Object.assign(this, { client, receiver });
  }

  /** `{task}` or `{message}` in canonical JSON. */
  async send(asked) {
    const answer = await this.client.sendMessage(asked);
    if (!('status' in answer)) return { message: sdk.Message.toJSON(answer) };
    const task = sdk.Task.toJSON(answer);
    return { task: asked.configuration?.returnImmediately ? task : await this.settled(task) };
  }

  /** With --patient: an agent that answers too early is asked until the task rests. */
  async settled(task, patient = FLAGS.patient === 'all') {
    let seen = task;
    for (let left = 100; patient && left > 0 && LIVE.includes(seen.status.state); left -= 1) {
      await pause(50);
      seen = await this.get(seen.id);
    }
    return seen;
  }

  async task(asked) {
    const answer = await this.send(asked);
    check(answer.task, 'a task wanted, got', answer);
    return answer.task;
  }

  async slow() {
    const task = await this.task(request('slow', { configuration: { returnImmediately: true } }));
    check(LIVE.includes(task.status.state), 'still running wanted, got', task.status);
    return task;
  }

  async stream(asked) {
    return (await drain(this.client.sendMessageStream(asked))).map((event) => sdk.StreamResponse.toJSON(event));
  }

  async subscribe(id) {
    const events = await drain(this.client.resubscribeTask(sdk.SubscribeToTaskRequest.fromJSON({ id })));
    return events.map((event) => sdk.StreamResponse.toJSON(event));
  }

  async get(id, more = {}) {
    return sdk.Task.toJSON(await this.client.getTask(sdk.GetTaskRequest.fromJSON({ id, ...more })));
  }

  async cancel(id) {
    const task = await this.client.cancelTask(sdk.CancelTaskRequest.fromJSON({ id }));
    return this.settled(sdk.Task.toJSON(task), !!FLAGS.patient);
  }

  async list(asked) {
    const page = await this.client.listTasks(sdk.ListTasksRequest.fromJSON(asked));
    return sdk.ListTasksResponse.toJSON(page);
  }

  push(config) {
    return this.client.createTaskPushNotificationConfig(sdk.TaskPushNotificationConfig.fromJSON(config));
  }
}

const stateOf = (wanted) => (body) => (body.task ?? body.statusUpdate)?.status?.state === wanted;

const scenarios = (peer, raw) => ({
  async card() {
    for (const member of ['name', 'description', 'supportedInterfaces', 'version', 'skills', 'capabilities']) {
      check(member in raw, 'the card lacks', member);
    }
    if (FLAGS.proxied) {
      const own = new URL(FLAGS.base).host;
      for (const { url } of raw.supportedInterfaces) {
        const place = url.includes('://') ? new URL(url).host : url;
        check(place === own, 'the card names', url, 'which is not at', own);
      }
    }
    return raw.supportedInterfaces.map((one) => one.protocolBinding).join(' ');
  },

  async send() {
    const task = await peer.task(request('echo hello grid'));
    check(task.status.state === 'TASK_STATE_COMPLETED', 'completed wanted, got', task.status);
    check(textOf(task) === 'hello grid', 'artifact says', textOf(task));
    check(task.id && task.contextId, 'ids missing');
  },

  async message() {
    const { message } = await peer.send(request('message good evening'));
    check(message?.parts[0].text === 'good evening' && message.role === 'ROLE_AGENT', 'got', message);
  },

  async stream() {
    const events = await peer.stream(request('stream 3'));
    check(events[0].task, 'first the task, got', events);
    const chunks = events.filter((e) => e.artifactUpdate).map((e) => e.artifactUpdate);
    const texts = chunks.map((c) => c.artifact.parts[0].text);
    check(same(texts, ['chunk1 ', 'chunk2 ', 'chunk3 ']), 'chunks', texts);
    check(same(chunks.map((c) => !!c.append), [false, true, true]) && chunks[2].lastChunk, 'append, lastChunk');
    const states = events.filter((e) => e.statusUpdate).map((e) => e.statusUpdate.status.state);
    check(same(states, ['TASK_STATE_WORKING', 'TASK_STATE_COMPLETED']), 'states', states);
    const task = await peer.get(events[0].task.id);
    check(textOf(task) === 'chunk1 chunk2 chunk3 ', 'after the stream', textOf(task));
  },

  async stream_message() {
    const answer = await peer.stream(request('message hi'));
    check(answer.length === 1 && answer[0].message, 'streamed message', answer);
  },

  async get() {
    const made = await peer.task(request('echo again'));
    const task = await peer.get(made.id);
    check(task.id === made.id && task.contextId === made.contextId && textOf(task) === 'again', 'got', task);
    check(task.status.state === 'TASK_STATE_COMPLETED', 'got', task.status);
    check(task.history?.some((one) => one.role === 'ROLE_USER'), "the user's message is not in history");
    check(!(await peer.get(made.id, { historyLength: 0 })).history?.length, 'historyLength 0 gave history');
  },

  async cancel() {
    const task = await peer.slow();
    check((await peer.cancel(task.id)).status.state === 'TASK_STATE_CANCELED', 'canceled wanted');
    check((await peer.get(task.id)).status.state === 'TASK_STATE_CANCELED', 'get after cancel');
  },

  async list() {
    const first = await peer.task(request('echo listed'));
    const second = await peer.task(request('echo listed too'));
    let page = await peer.list({ contextId: first.contextId });
    check(same(page.tasks.map((t) => t.id), [first.id]), 'by context', page);
    page = await peer.list({ pageSize: 1 });
    check(same(page.tasks.map((t) => t.id), [second.id]), 'newest first', page);
    check(page.nextPageToken && page.totalSize >= 2, 'a next page and a total', page);
    page = await peer.list({ pageSize: 1, pageToken: page.nextPageToken, includeArtifacts: true });
    check(page.tasks[0].id === first.id && textOf(page.tasks[0]) === 'listed', 'page 2', page);
  },

  async subscribe() {
    const task = await peer.slow();
    const watchers = [peer.subscribe(task.id), peer.subscribe(task.id)];
    await pause(400);
    await peer.cancel(task.id);
    for (const events of await Promise.all(watchers)) {
      check(events[0]?.task?.id === task.id, 'first the task, got', events);
      check(events.at(-1).statusUpdate?.status.state === 'TASK_STATE_CANCELED', 'ends with', events.at(-1));
    }
  },

  async push_config() {
    const task = await peer.slow();
    const url = peer.receiver.url('/unused');
    const made = await peer.push({ taskId: task.id, id: 'one', url, token: 't' });
    check(made.id === 'one' && made.url === url, 'created', made);
    const named = { taskId: task.id, id: 'one', tenant: '' };
    const got = await peer.client.getTaskPushNotificationConfig(named);
    check(got.url === url && got.taskId === task.id && got.token === 't', 'got', got);
    const listing = { taskId: task.id, pageSize: 0, pageToken: '', tenant: '' };
    let listed = await peer.client.listTaskPushNotificationConfig(listing);
    check(same(listed.configs.map((c) => c.id), ['one']), 'listed', listed);
    await peer.client.deleteTaskPushNotificationConfig(named);
    listed = await peer.client.listTaskPushNotificationConfig(listing);
    check(!listed.configs.length, 'still there', listed);
    await peer.cancel(task.id);
  },

  async push_delivery() {
    const task = await peer.slow();
    const path = `/set/${task.id}`;
    const authentication = { scheme: 'Bearer', credentials: 'letmein' };
    await peer.push({ taskId: task.id, id: 'd', url: peer.receiver.url(path), token: 'secret-token', authentication });
    await peer.cancel(task.id);
    const { headers } = await peer.receiver.wait(path, stateOf('TASK_STATE_CANCELED'));
    check(headers['x-a2a-notification-token'] === 'secret-token', 'token', headers);
    check(headers.authorization === 'Bearer letmein', 'authorization', headers);
  },

  async push_inline() {
    const path = `/inline/${randomUUID()}`;
    const taskPushNotificationConfig = { url: peer.receiver.url(path), token: 'inline' };
    await peer.task(request('stream 2', { configuration: { taskPushNotificationConfig } }));
    await peer.receiver.wait(path, stateOf('TASK_STATE_COMPLETED'));
  },

  async input_required() {
    const asked = await peer.task(request('ask'));
    check(asked.status.state === 'TASK_STATE_INPUT_REQUIRED', 'input required wanted, got', asked.status);
    check(asked.status.message.parts[0].text === 'which colour?', asked.status);
    const message = { taskId: asked.id, contextId: asked.contextId };
    const task = await peer.task(request('blue', { message }));
    check(task.status.state === 'TASK_STATE_COMPLETED' && textOf(task) === 'answered blue', 'answered', task);
    const again = await peer.task(request('ask'));
    await peer.stream(request('red', { message: { taskId: again.id, contextId: again.contextId } }));
    const last = await peer.get(again.id);
    check(last.status.state === 'TASK_STATE_COMPLETED' && textOf(last) === 'answered red', 'streamed answer', last);
  },

  async parts() {
    const data = { lamp: 'kitchen', level: 0.5, on: true, none: null, deep: [{ a: [1, 2] }] };
    const raw = Buffer.from(Array.from({ length: 256 }, (_, n) => n)).toString('base64');
    const url = 'https://files.example/plan.pdf';
    const given = [
      { raw, filename: 'all.bin', mediaType: 'application/octet-stream' },
      { url, filename: 'plan.pdf', mediaType: 'application/pdf' },
      { data },
    ];
    const task = await peer.task(request('file', { parts: given }));
    check(task.artifacts?.length === 1, 'one artifact', task);
    const got = task.artifacts[0].parts;
    check(got[0].raw === raw && got[0].filename === 'all.bin', 'raw part', got[0]);
    check(got[0].mediaType === 'application/octet-stream', 'media type', got[0]);
    check(got[1].url === url && got[1].mediaType === 'application/pdf', 'url part', got[1]);
    const sorted = (value) => JSON.stringify(value, Object.keys({ ...data, a: 0 }).sort());
    check(sorted(got[2].data) === sorted(data), 'data part', got[2]);
  },

  async failed() {
    let task = await peer.task(request('fail'));
    check(task.status.state === 'TASK_STATE_FAILED', 'failed wanted, got', task.status);
    check(task.status.message?.parts[0].text === 'it went wrong', task.status);
    task = await peer.task(request('reject'));
    check(task.status.state === 'TASK_STATE_REJECTED', 'rejected wanted, got', task.status);
  },

  async unknown_task() {
    const nobody = randomUUID();
    await refused(['TaskNotFound'], () => peer.get(nobody));
    await refused(['TaskNotFound'], () => peer.cancel(nobody));
    await refused(['TaskNotFound'], () => peer.task(request('echo x', { message: { taskId: nobody } })));
    await refused(['TaskNotFound'], () => peer.subscribe(nobody));
  },

  async terminal_task() {
    const done = await peer.task(request('echo done'));
    await refused(['UnsupportedOperation'], () => peer.task(request('more', { message: { taskId: done.id } })));
    await refused(['TaskNotCancelable'], () => peer.cancel(done.id));
    await refused(['UnsupportedOperation'], () => peer.subscribe(done.id));
  },

  async bad_params() {
    const invalid = ['RequestMalformed', '-32602', 'INVALID_ARGUMENT'];
    await refused(invalid, () => peer.task(request('', { message: { parts: [] } })));
    await refused(invalid, () => peer.list({ pageSize: 1000 }));
  },

  async return_immediately() {
    const started = performance.now();
    const task = await peer.slow();
    check(performance.now() - started < 3000, 'took', performance.now() - started);
    check(LIVE.includes((await peer.get(task.id)).status.state), 'no longer running');
    await peer.cancel(task.id);
  },
});

async function connect() {
  const factory = new ClientFactory({ transports: [new TRANSPORTS[FLAGS.transport]()] });
  const [base, path] = FLAGS.cardUrl.split('/.well-known/');
  const client = await factory.createFromUrl(`${base}/`, `.well-known/${path}`);
  const raw = await (await fetch(FLAGS.cardUrl, { headers: { 'A2A-Version': '1.0' } })).json();
  return scenarios(new Peer(client, await new Receiver().start()), raw);
}

await main(connect, FLAGS.only);
