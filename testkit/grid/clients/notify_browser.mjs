// Chromium as the telephone of somebody who is told: the page becomes an app, its worker is handed messages by the browser's own delivery
// command (CDP ServiceWorker.deliverPushMessage), good ones and forged ones. One JSON line a case: {case, ok, detail}.
//
// Input is a JSON document on standard input: {base, root, link, web, subscription, chromium}. A browser gets real subscriptions from its
// vendor's service only, so `PushManager.subscribe` gives the stub's; what the page does with it is the page's own.

import { authenticator, browser, check, input, press as presses, tell, until } from './browser.mjs';

const { base } = input;

const report = async () => (await fetch(`http://127.0.0.1:${input.web}/report`)).json();

async function ask(words) {
  const params = { message: { messageId: crypto.randomUUID(), role: 'ROLE_USER', parts: [{ text: words }] } };
  const answer = await fetch(`${input.root}/a2a`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'a2a-version': '1.0' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'SendMessage', params }),
  });
  const { result } = await answer.json();
  check(result?.task?.status?.state === 'TASK_STATE_AUTH_REQUIRED', 'nobody is asked:', result);
}

// Not in a context of its own: a private window shows no notifications.
await browser.defaultBrowserContext().overridePermissions(base, ['notifications']);
const page = await browser.newPage();
const { session } = await authenticator(page);
await page.evaluateOnNewDocument((given) => {
  PushManager.prototype.subscribe = async function (options) {
    window.asked = { visible: options.userVisibleOnly, length: options.applicationServerKey.length };
    const { endpoint, p256dh, auth } = given;
    return { endpoint, toJSON: () => ({ endpoint, keys: { p256dh, auth } }) };
  };
}, input.subscription);
let registration;
session.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
  registration = registrations.find((one) => one.scopeURL === `${base}/approvals`) ?? registration;
});
await session.send('ServiceWorker.enable');

const press = (selector) => presses(page, selector);
const says = () => page.$eval('main', (main) => main.innerText);
const shown = () =>
  page.evaluate(async () => {
    const held = await navigator.serviceWorker.getRegistration('/approvals');
    const all = await held.getNotifications();
    return all.map(({ title, body, tag, actions }) => ({ title, body, tag, actions: actions?.length ?? 0 }));
  });
const clear = () =>
  page.evaluate(async () => {
    const held = await navigator.serviceWorker.getRegistration('/approvals');
    (await held.getNotifications()).forEach((one) => one.close());
  });
const deliver = (data) =>
  session.send('ServiceWorker.deliverPushMessage', { origin: base, registrationId: registration.registrationId, data });
async function notification(data) {
  await clear();
  await until('the old ones are gone', async () => (await shown()).length === 0);
  await deliver(data);
  return (await until('a notification', async () => (await shown()).length && shown()))[0];
}
/// Where a tap on a notification of this tag leads.
async function tapped(tag) {
  const worker = await (await browser.waitForTarget((target) => target.type() === 'service_worker')).worker();
  return worker.evaluate(async (tag) => {
    const opened = [];
    // Windows are brought to the front by a person's tap only.
    self.clients.matchAll = async () => [];
    self.clients.openWindow = async (url) => opened.push(url);
    const made = new Event('notificationclick');
    made.notification = { tag, close() {} };
    const waited = [];
    made.waitUntil = (done) => waited.push(done);
    self.dispatchEvent(made);
    await Promise.all(waited);
    return opened;
  }, tag);
}

await tell('whoever may answer is offered to be told', async () => {
  await page.goto(input.link);
  await page.waitForSelector('form[data-passkey=create]:not([hidden])');
  await press('form[data-passkey=create] button');
  await page.goto(`${base}/approvals`);
  await page.waitForSelector('form[data-push]:not([hidden])');
});
await tell('the page can be installed', async () => {
  const { errors, url } = await session.send('Page.getAppManifest');
  check(errors.length === 0 && url === `${base}/approvals/app/manifest.json`, url, errors);
  await until('installable', async () => {
    const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
    return installabilityErrors.length === 0;
  });
});
await tell('the browser subscribes, and is listed', async () => {
  await press('form[data-push] button');
  check((await says()).includes('127.0.0.1'), await says());
  const { pushed } = await page.evaluate(() => ({ pushed: document.querySelector('form[data-push]').dataset.push }));
  check(Buffer.from(pushed, 'base64url').length === 65, pushed);
});
let message;
await tell('what the gateway sends is shown, in the words of the page', async () => {
  await ask('message mother\u2019s maiden name');
  [message] = await until('the message', async () => {
    const { pushes } = await report();
    return pushes.length && pushes;
  });
  const { title, body, tag, actions } = await notification(message.said);
  check(title === 'Moongate' && body === 'Something waits for your answer.' && actions === 0, title, body, actions);
  check(tag === JSON.parse(message.said).id, tag);
});
await tell('a tap opens the question, which asks for a passkey', async () => {
  const { id } = JSON.parse(message.said);
  const opened = await tapped(id);
  check(opened.length === 1 && opened[0] === `${base}/approvals/${id}`, opened);
  await page.goto(opened[0]);
  check((await says()).includes('Allow with a passkey'), await says());
  const answer = await fetch(opened[0], { redirect: 'manual' });
  check(answer.status === 200 && (await answer.text()).includes('Sign in'), 'others have to sign in');
});
await tell('a forged message shows and opens nothing of its own', async () => {
  await page.goto(`${base}/approvals`);
  const evil = { title: 'Tap to approve', body: 'https://evil.example', actions: [{ action: 'approve', title: 'Approve' }] };
  for (const forged of [
    { id: '../oauth/sign-out', class: 'critical' },
    { id: 'https://evil.example/', class: 'sensitive', link: 'https://evil.example/' },
    { id: ['0'.repeat(32)], class: 'critical' },
    { id: '0'.repeat(32), class: 'Your garage is on fire' },
    { id: '0'.repeat(32), class: 'constructor' },
    'no JSON', '', null,
  ]) {
    const data = typeof forged === 'string' ? forged : JSON.stringify(forged && { ...forged, ...evil });
    const { title, body, tag, actions } = await notification(data);
    check(title === 'Moongate' && body === 'Look at what waits for your answer.' && actions === 0, data, body, actions);
    check(tag === 'moongate', data, tag);
  }
  for (const tag of ['moongate', '../x', 'https://evil.example/', '', '0'.repeat(31) + '/']) {
    const opened = await tapped(tag);
    check(opened.every((url) => url === `${base}/approvals`), tag, opened);
  }
});
await tell('a forged message of an id that nobody has leads to a page that says so, and decides nothing', async () => {
  const id = 'f'.repeat(32);
  const { tag } = await notification(JSON.stringify({ id, class: 'critical' }));
  check(tag === id, tag);
  const answer = await page.goto((await tapped(id))[0]);
  check(answer.status() === 404, answer.status());
});
await tell('a browser that the push service knows no more is listed no more', async () => {
  await fetch(`http://127.0.0.1:${input.web}/gone`, { method: 'POST' });
  await ask('message again');
  await until('it is gone', async () => {
    await page.goto(`${base}/approvals`);
    return !(await says()).includes('127.0.0.1');
  });
});
await browser.close();
