// The grid's scenarios, run by the client of npm @a2a-js/sdk 0.3.x (A2A 0.3) over one transport.
//
// 0.3 has no list of tasks: that scenario says so.

import { randomUUID } from 'node:crypto';
import { NotApplicable, Receiver, check, drain, flags, load, main, pause, refused, same } from './harness.mjs';

const { ClientFactory, JsonRpcTransportFactory, RestTransportFactory } = load('@a2a-js/sdk/client');
const { GrpcTransportFactory } = load('@a2a-js/sdk/client/grpc');
const FLAGS = flags();
const LIVE = ['submitted', 'working'];
const TRANSPORTS = { JSONRPC: JsonRpcTransportFactory, 'HTTP+JSON': RestTransportFactory, GRPC: GrpcTransportFactory };
// What this library drops or cannot write when it goes through Protobuf: `append`, and null inside data.
const PLAIN = FLAGS.transport === 'JSONRPC';
const NOT_FOUND = ['TaskNotFound', '-32001', 'NOT_FOUND', 'not found', 'Not Found'];
const REFUSED = ['UnsupportedOperation', '-32004', '-32602', '-32600', 'INVALID_ARGUMENT', 'terminal'];

const request = (text, { parts = [], message = {}, configuration = {} } = {}) => ({
  message: {
    kind: 'message',
    role: 'user',
    messageId: randomUUID(),
    parts: [{ kind: 'text', text }, ...parts],
    ...message,
  },
  configuration: { blocking: true, acceptedOutputModes: [], ...configuration },
});

const textOf = (task) => (task.artifacts ?? []).flatMap((a) => a.parts.map((p) => p.text ?? '')).join('');

class Peer {
  constructor(client, receiver) {
    Object.assign(this, { client, receiver });
  }

  async task(asked) {
    const answer = await this.client.sendMessage(asked);
    check(answer.kind === 'task', 'a task wanted, got', answer);
    return asked.configuration.blocking ? this.settled(answer) : answer;
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

  async slow() {
    const task = await this.task(request('slow', { configuration: { blocking: false } }));
    check(LIVE.includes(task.status.state), 'still running wanted, got', task.status);
    return task;
  }

  stream(asked) {
    return drain(this.client.sendMessageStream(asked));
  }

  subscribe(id) {
    return drain(this.client.resubscribeTask({ id }));
  }

  get(id) {
    return this.client.getTask({ id });
  }

  async cancel(id) {
    return this.settled(await this.client.cancelTask({ id }), !!FLAGS.patient);
  }

  push(taskId, pushNotificationConfig) {
    return this.client.setTaskPushNotificationConfig({ taskId, pushNotificationConfig });
  }
}

const stateOf = (wanted) => (body) => body.kind === 'task' && body.status?.state === wanted;

const scenarios = (peer, raw) => ({
  async card() {
    for (const member of ['name', 'description', 'url', 'version', 'skills', 'capabilities', 'protocolVersion']) {
      check(member in raw, 'the card lacks', member);
    }
    if (FLAGS.proxied) {
      const own = new URL(FLAGS.base).host;
      for (const url of [raw.url, ...(raw.additionalInterfaces ?? []).map((one) => one.url)]) {
        const place = url.includes('://') ? new URL(url).host : url;
        check(place === own, 'the card names', url, 'which is not at', own);
      }
    }
    return raw.protocolVersion;
  },

  async send() {
    const task = await peer.task(request('echo hello grid'));
    check(task.status.state === 'completed', 'completed wanted, got', task.status);
    check(textOf(task) === 'hello grid', 'artifact says', textOf(task));
    check(task.id && task.contextId, 'ids missing');
  },

  async message() {
    const answer = await peer.client.sendMessage(request('message good evening'));
    check(answer.kind === 'message' && answer.role === 'agent', 'got', answer);
    check(answer.parts[0].text === 'good evening', 'got', answer);
  },

  async stream() {
    const events = await peer.stream(request('stream 3'));
    check(events[0].kind === 'task', 'first the task, got', events);
    const chunks = events.filter((e) => e.kind === 'artifact-update');
    const texts = chunks.map((c) => c.artifact.parts[0].text);
    check(same(texts, ['chunk1 ', 'chunk2 ', 'chunk3 ']), 'chunks', texts);
    check(chunks[2].lastChunk, 'lastChunk');
    if (PLAIN) check(same(chunks.map((c) => !!c.append), [false, true, true]), 'append', chunks);
    const changes = events.filter((e) => e.kind === 'status-update');
    check(same(changes.map((e) => e.status.state), ['working', 'completed']), 'states', changes);
    check(changes.at(-1).final === true, 'the last status is not final');
    const task = await peer.get(events[0].id);
    check(textOf(task) === 'chunk1 chunk2 chunk3 ', 'after the stream', textOf(task));
  },

  async stream_message() {
    const answer = await peer.stream(request('message hi'));
    check(answer.length === 1 && answer[0].kind === 'message', 'streamed message', answer);
  },

  async get() {
    const made = await peer.task(request('echo again'));
    const task = await peer.get(made.id);
    check(task.id === made.id && task.contextId === made.contextId && textOf(task) === 'again', 'got', task);
    check(task.status.state === 'completed', 'got', task.status);
    check(task.history?.some((one) => one.role === 'user'), "the user's message is not in history");
  },

  async cancel() {
    const task = await peer.slow();
    check((await peer.cancel(task.id)).status.state === 'canceled', 'canceled wanted');
    check((await peer.get(task.id)).status.state === 'canceled', 'get after cancel');
  },

  async list() {
    throw new NotApplicable('A2A 0.3 has no list of tasks');
  },

  async subscribe() {
    const task = await peer.slow();
    const watchers = [peer.subscribe(task.id), peer.subscribe(task.id)];
    await pause(400);
    await peer.cancel(task.id);
    for (const events of await Promise.all(watchers)) {
      check(events.length, 'no events');
      check((events[0].id ?? events[0].taskId) === task.id, 'another task', events);
      check(events.at(-1).status?.state === 'canceled', 'ends with', events.at(-1));
    }
  },

  async push_config() {
    const task = await peer.slow();
    const url = peer.receiver.url('/unused');
    const made = await peer.push(task.id, { id: 'one', url, token: 't' });
    check(made.pushNotificationConfig.url === url, 'created', made);
    const named = { id: task.id, pushNotificationConfigId: 'one' };
    const got = await peer.client.getTaskPushNotificationConfig(named);
    check(got.taskId === task.id && got.pushNotificationConfig.url === url, 'got', got);
    check(got.pushNotificationConfig.token === 't' && got.pushNotificationConfig.id === 'one', 'got', got);
    let listed = await peer.client.listTaskPushNotificationConfig({ id: task.id });
    check(same(listed.map((c) => c.pushNotificationConfig.id), ['one']), 'listed', listed);
    await peer.client.deleteTaskPushNotificationConfig(named);
    listed = await peer.client.listTaskPushNotificationConfig({ id: task.id });
    check(!listed.length, 'still there', listed);
    await peer.cancel(task.id);
  },

  async push_delivery() {
    const task = await peer.slow();
    const path = `/set/${task.id}`;
    await peer.push(task.id, { id: 'd', url: peer.receiver.url(path), token: 'secret-token' });
    await peer.cancel(task.id);
    const { headers } = await peer.receiver.wait(path, stateOf('canceled'));
    check(headers['x-a2a-notification-token'] === 'secret-token', 'token', headers);
  },

  async push_inline() {
    const path = `/inline/${randomUUID()}`;
    const pushNotificationConfig = { url: peer.receiver.url(path), token: 'inline' };
    await peer.task(request('stream 2', { configuration: { pushNotificationConfig } }));
    await peer.receiver.wait(path, stateOf('completed'));
  },

  async input_required() {
    const asked = await peer.task(request('ask'));
    check(asked.status.state === 'input-required', 'input required wanted, got', asked.status);
    check(asked.status.message.parts[0].text === 'which colour?', asked.status);
    const message = { taskId: asked.id, contextId: asked.contextId };
    const task = await peer.task(request('blue', { message }));
    check(task.status.state === 'completed' && textOf(task) === 'answered blue', 'answered', task);
    const events = await peer.stream(request('ask'));
    check(events.at(-1).status?.state === 'input-required', 'streamed', events);
    const again = events[0];
    await peer.stream(request('red', { message: { taskId: again.id, contextId: again.contextId } }));
    const last = await peer.get(again.id);
    check(last.status.state === 'completed' && textOf(last) === 'answered red', 'streamed answer', last);
  },

  async parts() {
    const data = { lamp: 'kitchen', level: 0.5, on: true, deep: [{ a: [1, 2] }], ...(PLAIN && { none: null }) };
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n)).toString('base64');
    const uri = 'https://files.example/plan.pdf';
    const given = [
      { kind: 'file', file: { bytes, name: 'all.bin', mimeType: 'application/octet-stream' } },
      { kind: 'file', file: { uri, name: 'plan.pdf', mimeType: 'application/pdf' } },
      { kind: 'data', data },
    ];
    const task = await peer.task(request('file', { parts: given }));
    check(task.artifacts?.length === 1, 'one artifact', task);
    const got = task.artifacts[0].parts;
    check(same(got.map((part) => part.kind), ['file', 'file', 'data']), 'kinds', got);
    check(got[0].file.bytes === bytes && got[0].file.mimeType === 'application/octet-stream', 'bytes', got[0]);
    check(got[1].file.uri === uri && got[1].file.mimeType === 'application/pdf', 'uri', got[1]);
    // The library's own reader of ProtoJSON and gRPC drops a file's name.
    if (PLAIN) check(got[0].file.name === 'all.bin' && got[1].file.name === 'plan.pdf', 'names', got);
    const sorted = (value) => JSON.stringify(value, Object.keys({ ...data, a: 0 }).sort());
    check(sorted(got[2].data) === sorted(data), 'data part', got[2]);
  },

  async failed() {
    let task = await peer.task(request('fail'));
    check(task.status.state === 'failed', 'failed wanted, got', task.status);
    check(task.status.message?.parts[0].text === 'it went wrong', task.status);
    task = await peer.task(request('reject'));
    check(task.status.state === 'rejected', 'rejected wanted, got', task.status);
  },

  async unknown_task() {
    const nobody = randomUUID();
    await refused(NOT_FOUND, () => peer.get(nobody));
    await refused(NOT_FOUND, () => peer.cancel(nobody));
    await refused(NOT_FOUND, () => peer.task(request('echo x', { message: { taskId: nobody } })));
  },

  async terminal_task() {
    const done = await peer.task(request('echo done'));
    const message = { taskId: done.id, contextId: done.contextId };
    await refused(REFUSED, () => peer.task(request('more', { message })));
    await refused(['TaskNotCancelable', '-32002', 'cancel'], () => peer.cancel(done.id));
  },

  async bad_params() {
    const invalid = ['-32602', 'INVALID_ARGUMENT', 'Invalid', 'invalid'];
    await refused(invalid, () => peer.task(request('', { message: { parts: [] } })));
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
  const raw = await (await fetch(FLAGS.cardUrl)).json();
  return scenarios(new Peer(client, await new Receiver().start()), raw);
}

await main(connect, FLAGS.only);
