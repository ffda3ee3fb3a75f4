// Chromium at the console. One JSON line a case: {case, ok, detail}. Whatever a page complains of, a policy that was broken
// included, makes the last case red.
//
// Input is a JSON document on standard input: {link, root, port, chromium, shots?}. With `shots`, a folder, each page is
// photographed: light as a desk sees it, dark as a phone does.

import { createServer } from 'node:http';

import { authenticator, browser, check, complaints, input, look as looks, open, press as presses, tell } from './browser.mjs';

const base = new URL(input.link).origin;
const ROUTING = 'https://w3id.org/moongate/extensions/skill-routing/v1';

const page = await open(browser);
page.on('requestfailed', (request) => complaints.push(`${page.url()}: ${request.url()} ${request.failure()?.errorText}`));
page.on('response', (response) => {
  const own = response.url().startsWith(`${base}/`) && !response.url().endsWith('/favicon.ico');
  if (own && response.status() === 404) complaints.push(`${page.url()}: ${response.url()} is not there`);
});

const says = () => page.$eval('body', (body) => body.innerText);
const has = async (...words) => {
  const text = await says();
  for (const word of words) check(text.includes(word), word, 'is missing in', text);
};
const press = (selector) => presses(page, selector);

/// Photographed light as a desk sees it, dark as a phone does.
const look = (name) => looks(page, `console-${name}`, async (path, kind, scheme) => {
  if ((kind === 'desk') === (scheme === 'light')) await page.screenshot({ path });
});

async function say(words) {
  const message = { messageId: words, role: 'ROLE_USER', parts: [{ text: words }], metadata: { [ROUTING]: { skillId: 'lights.set' } } };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'SendMessage', params: { message } });
  const headers = { 'content-type': 'application/json', 'a2a-version': '1.0' };
  const answer = await fetch(`${input.root}/a2a`, { method: 'POST', headers, body });
  check(answer.ok, answer.status);
}

/// A site of somebody else's.
const site = createServer((request, response) => {
  const url = new URL(request.url, 'http://127.0.0.1');
  response.setHeader('content-type', 'text/html');
  if (url.pathname === '/link') return response.end(`<main><a href="${base}/console/agents">go</a></main>`);
  const fields = '<input name="form" value="guess"><input name="name" value="mallory"><button>go</button>';
  response.end(`<main><form method="post" action="${base}${url.searchParams.get('to')}">${fields}</form></main>`);
});
await new Promise((done) => site.listen(Number(input.port), '127.0.0.1', done));
const elsewhere = `http://127.0.0.1:${site.address().port}`;

await tell('nobody sees a page before signing in', async () => {
  await page.goto(`${base}/console/agents`);
  check(page.url() === `${base}/console/sign-in`, page.url());
  await has('moongate console');
  await look('sign-in');
});
await tell('the link opens the console once', async () => {
  await page.goto(input.link);
  await look('link');
  await press('main button');
  check(page.url() === `${base}/console/`, page.url());
  const other = await (await browser.createBrowserContext()).newPage();
  await other.goto(input.link);
  await Promise.all([other.waitForNavigation(), other.click('main button')]);
  check((await other.$eval('main', (main) => main.innerText)).includes('works no longer'), other.url());
  await other.close();
});
await tell('each page is whole, dark and light, on a phone and a desk', async () => {
  for (const [path, name, ...words] of [
    ['', 'overview', 'Needs somebody', 'dishwasher', 'A question waits', 'not in this version'],
    ['agents', 'agents', 'heating', 'lights.set', 'down'],
    ['tasks', 'tasks', 'lock'],
    ['approvals', 'approvals', 'let the plumber in', 'doors'],
    ['audit', 'audit', 'send', 'signed as one root'],
    ['audit/1', 'audit-line', 'It leads to the root', 'The proof'],
    ['audit/verify', 'audit-verify', 'are what was signed'],
    ['configuration', 'configuration', 'domain', 'grid.example', 'default'],
    ['routes', 'routes', 'Which way a message would take'],
    ['passkey', 'passkey', 'Name to sign in with'],
  ]) {
    await page.goto(`${base}/console/${path}`);
    await has(...words);
    await look(name);
  }
});
await tell('the overview renews itself', async () => {
  await page.goto(`${base}/console/`);
  await page.evaluate(() => { window.before = document.querySelector('#traffic figcaption').innerText; });
  await say('renewed');
  const renewed = () => document.querySelector('#traffic figcaption').innerText !== window.before;
  await page.waitForFunction(renewed, { timeout: 20000 });
  const steps = () => page.evaluate(() => document.querySelector('.spark .line')?.getAttribute('d').split('L').length ?? 0);
  const began = Date.now();
  for (let turn = 0; (await steps()) < 5; turn += 1) {
    check(Date.now() - began < 60000, 'the line does not grow');
    for (let more = turn % 7; more >= 0; more -= 1) await say(`once more ${turn} ${more}`);
    await new Promise((done) => { setTimeout(done, 500); });
  }
  await look('overview');
});
await tell('a skill is found, and what agents say is text', async () => {
  await page.goto(`${base}/console/agents`);
  await page.type('#q', 'set the lights');
  await press('form[role=search] button');
  await has('Skills for “set the lights”', 'lights.set', '<img src=x onerror=alert(1)>', '\\u{202e}');
  check(!(await says()).includes('\u202e'), 'text runs backwards');
});
await tell('a task is told step by step', async () => {
  await page.goto(`${base}/console/tasks`);
  await press('#tasks .rows a');
  await page.waitForSelector('.timeline li');
  await has('lock.open');
  await look('task');
});
await tell('the way of a message is drawn', async () => {
  await page.goto(`${base}/console/routes`);
  await page.type('#text', 'set the lights in the kitchen');
  await press('main form button');
  await has('The way it takes');
  await has('lights');
  await look('route');
});
await tell('the log is searched in the browser', async () => {
  await page.goto(`${base}/console/audit`);
  await page.type('#operation', 'console.sign-in');
  await press('main form button');
  await has('console.sign-in', 'by operator');
  check(!(await says()).includes('gateway.start'), await says());
  await press('.rows a');
  await has('It leads to the root');
});
await tell('a form on another site does nothing', async () => {
  for (const to of ['/console/sign-out', '/console/passkey', '/console/sign-in']) {
    await page.goto(`${elsewhere}/form?to=${to}`);
    await press('button');
    await has('MG-0');
    check(!(await says()).includes('mallory'), to);
  }
  await page.goto(`${base}/console/`);
  check(page.url() === `${base}/console/`, 'somebody was signed out');
});
await tell('a link on another site leads in, its script does not', async () => {
  await page.goto(`${elsewhere}/link`);
  await page.click('a');
  await page.waitForSelector('h1 + p.quiet');
  check(page.url() === `${base}/console/agents`, page.url());
  await page.goto(`${elsewhere}/form?to=/`);
  for (const path of ['/console/', '/api/v1/overview']) {
    const read = await page.evaluate(async (address) => {
      try { return (await (await fetch(address, { credentials: 'include' })).text()).length; } catch { return 'refused'; }
    }, `${base}${path}`);
    check(read === 'refused', path, read);
  }
  // The browser says that it kept the two apart.
  complaints.splice(0, complaints.length, ...complaints.filter((words) => !words.startsWith(`${elsewhere}/`)));
});
await tell('the operator comes back by passkey', async () => {
  await authenticator(page);
  await page.goto(`${base}/console/passkey`);
  await page.type('#name', 'olga');
  await page.type('#display_name', 'Olga');
  await press('main form button');
  await press('main a.button');
  await page.waitForSelector('form[data-passkey=create]:not([hidden])');
  await press('form[data-passkey=create] button');
  await page.goto(`${base}/console/`);
  await has('the operator');
  await press('.who button');
  await page.goto(`${base}/console/`);
  await has('Signed in as Olga');
  check(!(await says()).includes('Approvals'), 'who looks does not answer');
  await page.goto(`${base}/oauth/account`);
  await press('footer button');
  await page.goto(`${base}/console/`);
  check(page.url() === `${base}/console/sign-in`, page.url());
  await press('main a.button');
  await page.waitForSelector('form[data-passkey=get]:not([hidden])');
  await press('form[data-passkey=get] button');
  check(page.url() === `${base}/console/`, page.url());
  await has('Signed in as Olga');
});
await tell('no page complained', async () => {
  check(complaints.length === 0, complaints.join('\n'));
});

await browser.close();
site.close();
