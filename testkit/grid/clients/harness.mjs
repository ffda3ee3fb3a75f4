// What the two Node clients share: flags, running scenarios, a webhook receiver, checks with words.
//
// The peer's packages are loaded from the folder in GRID_PACKAGES, so that one tree of scripts serves two versions.
// One JSON line a scenario goes to stdout: {scenario, ok, na?, detail, ms}.

import { createRequire } from 'node:module';
import { createServer } from 'node:http';

const LIMIT_MS = 20_000;

export const load = createRequire(`${process.env.GRID_PACKAGES}/`);

export class NotApplicable extends Error {}

export function flags() {
  const found = { transport: 'JSONRPC', only: '', proxied: false, patient: '' };
  const words = process.argv.slice(2);
  while (words.length) {
    const [name, value] = words.shift().replace(/^--/, '').replace('card-url', 'cardUrl').split('=', 2);
    found[name] = name === 'proxied' ? true : (value ?? words.shift());
  }
  return found;
}

export function check(holds, ...words) {
  if (!holds) throw new Error(words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))).join(' '));
}

export const same = (one, two) => JSON.stringify(one) === JSON.stringify(two);

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Runs `call` and demands an error whose class or words hold one of `names`. */
export async function refused(names, call) {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    const seen = `${error.constructor.name} ${error.name} ${error.code ?? ''} ${error.message} ${error.cause ?? ''}`;
    check(names.some((name) => seen.includes(name)), `wanted ${names.join(' or ')}, got`, seen);
    return;
  }
  check(false, `wanted ${names.join(' or ')}, got an answer:`, answer);
}

export async function drain(events) {
  const seen = [];
  for await (const event of events) {
    seen.push(event);
    check(seen.length < 200, 'stream does not end');
  }
  return seen;
}

/** A webhook on a free port of 127.0.0.1; keeps what was posted to it. */
export class Receiver {
  posts = [];

  async start() {
    this.server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += chunk));
      request.on('end', () => {
        this.posts.push({ path: request.url, headers: request.headers, body: JSON.parse(body) });
        response.writeHead(204).end();
      });
    });
    await new Promise((ready) => this.server.listen(0, '127.0.0.1', ready));
    return this;
  }

  url(path) {
    return `http://127.0.0.1:${this.server.address().port}${path}`;
  }

  async wait(path, wanted) {
    for (let left = 200; left > 0; left -= 1) {
      const post = this.posts.find((one) => one.path === path && wanted(one.body));
      if (post) return post;
      await pause(50);
    }
    throw new Error(`no such delivery at ${path} within 10 s; got ${JSON.stringify(this.posts)}`);
  }
}

export async function run(scenarios, only) {
  const wanted = only.split(',').filter(Boolean);
  for (const [scenario, body] of Object.entries(scenarios)) {
    if (wanted.length && !wanted.includes(scenario)) continue;
    const started = performance.now();
    const line = { scenario, ok: false, detail: '' };
    const late = new Promise((_, fail) => {
      setTimeout(() => fail(new Error(`not done within ${LIMIT_MS / 1000} s`)), LIMIT_MS).unref();
    });
    try {
      line.detail = String((await Promise.race([body(), late])) ?? '');
      line.ok = true;
    } catch (error) {
      line.detail = `${error.message ?? error}${error.cause ? ` (${error.cause})` : ''}`.slice(0, 800);
      if (error instanceof NotApplicable) line.na = true;
    }
    line.ms = Math.round(performance.now() - started);
    console.log(JSON.stringify(line));
  }
}

/** Connects, runs, exits; a client that cannot start says why. */
export async function main(connect, only) {
  process.on('unhandledRejection', () => {});
  try {
    await run(await connect(), only);
    process.exit(0);
  } catch (error) {
    console.log(JSON.stringify({ start: false, detail: `${error.message ?? error}`.slice(0, 800) }));
    process.exit(3);
  }
}
