// Chromium at the approval pages, with an authenticator that the browser plays itself (CDP WebAuthn). One JSON line a case:
// {case, ok, detail}; the last line is {kept, keys}: questions whose receipts somebody else looks at, and the authenticator's own public
// keys. Whatever a page complains of on the console, a policy that was broken included, and every dialog, makes the last case red.
//
// Input is a JSON document on standard input: {base, root, admin, secret, links: {alice, bob}, port, heard, chromium, shots?}.
// With `shots`, a folder, each page is photographed as a phone and a desk see it, dark and light.

import { createPrivateKey, createPublicKey } from 'node:crypto';
import { createServer } from 'node:http';

import { authenticator, browser, check, complaints, input, look as looks, open, press as presses, tell, until } from './browser.mjs';

const { base } = input;
const kept = {};
const ROUTING = 'https://w3id.org/moongate/extensions/skill-routing/v1';
const APPROVAL = 'https://w3id.org/moongate/extensions/approval/v1';
// Markup, text that runs backwards, and letters that nobody sees.
const MARKUP = '<img src=x onerror="window.ran=1;alert(1)"></pre><script>window.ran=1</script>';
const HIDDEN = '\u202egnp.rood\u202c \u200bopen\u2066\ufeff';
const WRITTEN = '\\u{202e}gnp.rood\\u{202c} \\u{200b}open\\u{2066}\\u{feff}';

// The caller, the agent and the operator.

async function call(method, params) {
  const headers = { 'content-type': 'application/json', 'a2a-version': '1.0' };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const answer = await (await fetch(`${input.root}/a2a`, { method: 'POST', headers, body })).json();
  check(answer.result, method, answer);
  return answer.result;
}
const send = async (skill, parts) => {
  const message = { messageId: crypto.randomUUID(), role: 'ROLE_USER', parts, metadata: { [ROUTING]: { skillId: skill } } };
  return (await call('SendMessage', { message })).task;
};
const state = async (task) => (await call('GetTask', { id: task.id })).status.state.replace('TASK_STATE_', '');
const ends = (task, wanted) => until(`the task is ${wanted}`, async () => (await state(task)) === wanted);
const heard = async (word) => {
  const told = (await (await fetch(input.heard)).json()).heard;
  return told.filter((message) => JSON.stringify(message).includes(word)).length;
};
const operator = async (path) => {
  const answer = await fetch(`${input.admin}/api/v1/approvals${path}`, { headers: { authorization: `Bearer ${input.secret}` } });
  check(answer.ok, path, answer.status);
  return answer.json();
};
/// Has the agent be told something that wants a yes; the task and the question.
async function ask(word, skill = 'door.open', more = []) {
  const task = await send(skill, [{ text: word }, ...more]);
  check(task?.status?.state === 'TASK_STATE_AUTH_REQUIRED', 'nobody is asked:', task);
  const id = task.metadata?.[APPROVAL]?.id;
  check(/^[0-9a-f]{32}$/.test(id ?? ''), 'the task does not name its question:', task);
  return { task, id, place: `${base}/approvals/${id}` };
}
const stands = async ({ id }) => (await operator(`/${id}`)).state;

// The browser.

const held = async ({ session, authenticatorId }) =>
  (await session.send('WebAuthn.getCredentials', { authenticatorId })).credentials;

const says = (page) => page.$eval('body', (body) => body.innerText);
const has = async (page, ...words) => {
  const text = await says(page);
  for (const word of words) check(text.includes(word), word, 'is missing in', text);
};
const lacks = async (page, ...words) => {
  const text = await says(page);
  for (const word of words) check(!text.includes(word), word, 'stands in', text);
};
const answers = (decision) => `form:has(input[name=decision][value=${decision}]) button`;
/// Only the page in front asks its authenticator.
async function press(page, selector) {
  await page.bringToFront();
  return presses(page, selector);
}
/// Once the script has shown it.
const allow = async (page, decision = 'approve') => {
  await page.waitForSelector(answers(decision), { visible: true, timeout: 15000 });
  await press(page, answers(decision));
};

const look = (page, name) => looks(page, `approvals-${name}`, (path) => page.screenshot({ path, fullPage: true }));

/// Somebody else's site, of another host or of another port.
const site = createServer((request, response) => {
  const asked = new URL(request.url, 'http://127.0.0.1').searchParams;
  response.setHeader('content-type', 'text/html');
  const fields = ['decision', 'form', 'answer']
    .map((name) => `<input name="${name}" value="${(asked.get(name) ?? '').replaceAll('"', '&quot;')}">`).join('');
  response.end(`<main><form method="post" action="${asked.get('to')}">${fields}<button>go</button></form></main>`);
});
await new Promise((done) => site.listen(Number(input.port), done));

const context = await browser.createBrowserContext();
const page = await open(context);
const { session, authenticatorId } = await authenticator(page);

await tell('whoever answers signs up with a passkey, and nothing waits', async () => {
  await page.goto(input.links.alice);
  await page.waitForSelector('form[data-passkey=create]:not([hidden])');
  await press(page, 'form[data-passkey=create] button');
  await page.goto(`${base}/approvals`);
  await has(page, 'What waits for a yes', 'Nothing, at the moment.');
  await look(page, 'nothing');
});

const parts = [{ data: { [`${MARKUP}${HIDDEN}`]: [MARKUP, HIDDEN, -1.5, true, null, 'x'.repeat(900)] }, mediaType: 'application/json' }];
let nasty;
await tell('a question appears in the list, with its markup as text', async () => {
  nasty = await ask(`${MARKUP} ${HIDDEN}`, 'door.open', parts);
  await page.reload();
  await has(page, 'local tells entrance, skill door.open', '<img src=x onerror=', 'Sensitive');
  await look(page, 'list');
});
await tell('its page says what will happen, who asks, and until when', async () => {
  await press(page, `a[href="/approvals/${nasty.id}"]`);
  check(page.url() === nasty.place, page.url());
  const sentence = await page.$eval('h1', (title) => title.innerText);
  check(sentence.startsWith('local tells entrance, skill door.open: "') && sentence.endsWith('and data besides'), sentence);
  const facts = await page.$$eval('dl dt', (names) => names.map((name) => [name.innerText, name.nextElementSibling.innerText]));
  const { Asks, Agent, Skill, 'Time left': left } = Object.fromEntries(facts);
  check(Asks === 'local' && Agent === 'entrance' && Skill === 'door.open', facts);
  check(/^([1-9]\d*) (minutes|seconds)$/.test(left ?? ''), facts);
  await look(page, 'question');
});
await tell('all parameters stand there whole, and what is invisible is written out', async () => {
  const { document } = await operator(`/${nasty.id}`);
  check(JSON.stringify(document.params.message.parts.slice(1)) === JSON.stringify(parts), document.params);
  const shown = await page.$eval('pre.params', (all) => all.textContent);
  const hides = /[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/u;
  const written = (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`;
  const whole = JSON.stringify(document.params, null, 2).replace(new RegExp(hides, 'gu'), written);
  check(shown === whole, 'shown:', shown, 'sent:', whole);
  check(!hides.test(await says(page)), 'something invisible is on the page');
  check(shown.includes(WRITTEN), shown);
});
await tell('no script of a stranger ran, and none of its markup is an element', async () => {
  const found = await page.evaluate(() => ({ ran: window.ran ?? 0, images: document.querySelectorAll('main img').length }));
  check(found.ran === 0 && found.images === 0, found);
  const scripts = await page.$$eval('script', (all) => all.filter((one) => !one.src).length);
  check(scripts === 0, scripts, 'scripts stand in the page');
});
await tell('Deny has the focus, and a stray Enter denies', async () => {
  await page.reload();
  await page.waitForFunction(() => document.activeElement?.form?.elements.decision?.value === 'deny', { timeout: 15000 });
  check((await page.evaluate(() => document.activeElement.innerText)) === 'Deny', 'another button has the focus');
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  await has(page, 'denied');
  check((await page.$(answers('deny'))) === null, 'it can be answered once more');
  await look(page, 'denied');
  await ends(nasty.task, 'REJECTED');
  check((await heard('gnp.rood')) === 0, 'the agent heard of it');
});
await tell('a yes is a passkey’s, and the agent hears it once', async () => {
  const asked = await ask('let the plumber in');
  await page.goto(asked.place);
  check((await heard('plumber')) === 0, 'the agent heard of it before');
  await allow(page);
  await ends(asked.task, 'COMPLETED');
  check((await heard('plumber')) === 1, 'the agent heard it', await heard('plumber'), 'times');
  await page.reload();
  await has(page, 'consumed');
  await look(page, 'allowed');
  kept.yes = asked.id;
});
await tell('an authenticator that does not verify its owner allows nothing', async () => {
  const asked = await ask('without a finger');
  await page.goto(asked.place);
  await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await page.waitForSelector(answers('approve'), { visible: true });
  await page.click(answers('approve'));
  await page.waitForFunction(() => document.body.innerText.includes('did not give a passkey'), { timeout: 15000 });
  await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true });
  check((await stands(asked)) === 'pending', await stands(asked));
  await press(page, answers('deny'));
  check((await heard('finger')) === 0, 'the agent heard of it');
});
await tell('a yes is remembered for the very same, visibly, until it is taken back', async () => {
  const asked = await ask('the cat wants in');
  await page.goto(asked.place);
  await page.waitForSelector(answers('remember'), { visible: true });
  const words = await page.$eval(answers('remember'), (button) => button.innerText);
  check(words === 'Allow, and the very same for 15 minutes', words);
  await look(page, 'remember');
  await allow(page, 'remember');
  await ends(asked.task, 'COMPLETED');
  const again = await send('door.open', [{ text: 'the cat wants in' }]);
  await ends(again, 'COMPLETED');
  check((await heard('cat')) === 2, 'the agent heard it', await heard('cat'), 'times');
  kept.remembered = asked.id;
  kept.alike = (await operator('?state=past')).approvals.find((one) => one.document.target.task === again.id)?.id;
  check(kept.alike && kept.alike !== asked.id, 'the second has no question of its own');
  await page.goto(`${base}/approvals`);
  await has(page, 'Answered alike for now', 'the cat wants in', 'left, by');
  await look(page, 'answered-alike');
  await press(page, answers('forget'));
  await lacks(page, 'Answered alike for now');
  const anew = await ask('the cat wants in');
  await page.goto(anew.place);
  await press(page, answers('deny'));
  await ends(anew.task, 'REJECTED');
  check((await heard('cat')) === 2, 'it went on');
});
const spare = await open(context);
const spareKey = await authenticator(spare);
await tell('a second passkey is made, of the other kind', async () => {
  await spare.goto(`${base}/oauth/account`);
  // As an authenticator that does ES256 only; the first took what the gateway likes best.
  await spare.evaluate(() => {
    const create = navigator.credentials.create.bind(navigator.credentials);
    navigator.credentials.create = ({ publicKey }) => {
      publicKey.pubKeyCredParams = publicKey.pubKeyCredParams.filter(({ alg }) => alg === -7);
      return create({ publicKey });
    };
  });
  await press(spare, 'form[data-passkey=create] button');
  const credentials = await held(spareKey);
  check(credentials.length === 1, credentials);
});
await tell('what is critical is asked about each time', async () => {
  const asked = await ask('open the safe', 'safe.open');
  await spare.goto(asked.place);
  await spare.waitForSelector(answers('approve'), { visible: true });
  check((await spare.$eval('.kicker', (kind) => kind.textContent)) === 'Critical', await says(spare));
  await lacks(spare, 'the very same');
  check((await spare.$(answers('remember'))) === null, 'a yes can be remembered');
  await look(spare, 'critical');
  await allow(spare);
  await ends(asked.task, 'COMPLETED');
  kept.critical = asked.id;
});
await tell('a tab that answers late is told so', async () => {
  const asked = await ask('two tabs');
  const late = await open(context);
  await late.goto(asked.place);
  await page.goto(asked.place);
  await press(page, answers('deny'));
  await press(late, answers('deny'));
  const alert = await late.$eval('.alert', (one) => one.innerText);
  check(/\bdenied already/.test(alert), alert);
  check((await late.$(answers('deny'))) === null, 'it can be answered once more');
  await look(late, 'late');
  await late.close();
  check((await heard('two tabs')) === 0, 'the agent heard of it');
});

const guarded = await ask('attacked').catch((error) => ({ error }));
await tell('opening a link decides nothing', async () => {
  check(!guarded.error, `${guarded.error}`);
  for (const query of ['', '?decision=deny', '?decision=approve', '?decision=remember&answer=%7B%7D']) {
    await page.goto(`${guarded.place}${query}`);
    check((await stands(guarded)) === 'pending', query, await stands(guarded));
  }
});
await tell('a form on another site decides nothing, even with the page’s own token', async () => {
  await page.goto(guarded.place);
  const form = await page.$eval('input[name=form]', (token) => token.value);
  check(form.length > 10, form);
  // The second is the same site to a browser, which sends the cookie.
  for (const origin of [`http://127.0.0.1:${input.port}`, `http://localhost:${input.port}`]) {
    for (const decision of ['deny', 'approve', 'remember']) {
      await page.goto(`${origin}/?${new URLSearchParams({ to: guarded.place, decision, form, answer: '{}' })}`);
      const [answer] = await press(page, 'button');
      check(answer.status() === 403, origin, decision, answer.status());
      await has(page, 'The form was not sent from this gateway’s own page');
      check((await stands(guarded)) === 'pending', origin, decision, await stands(guarded));
    }
  }
  check((await heard('attacked')) === 0, 'the agent heard of it');
  // The very same form works at home: it was the origin that was refused.
  await page.goto(guarded.place);
  await press(page, answers('deny'));
  check((await stands(guarded)) === 'denied', await stands(guarded));
});
await tell('whoever does not answer such questions sees none', async () => {
  const asked = await ask('not for bob');
  const bob = await open(await browser.createBrowserContext());
  await bob.goto(asked.place);
  await has(bob, 'Sign in');
  await lacks(bob, 'not for bob', 'entrance', 'door.open');
  await authenticator(bob);
  await bob.goto(input.links.bob);
  await bob.waitForSelector('form[data-passkey=create]:not([hidden])');
  await press(bob, 'form[data-passkey=create] button');
  for (const place of [`${base}/approvals`, asked.place]) {
    const answer = await bob.goto(place);
    check(answer.status() === 403, place, answer.status());
    await has(bob, 'not one of those who answer');
    await lacks(bob, 'not for bob', 'entrance', 'door.open');
  }
  await look(bob, 'forbidden');
  await bob.goto(`${base}/oauth/account`);
  // His own session's form, sent where he has no business.
  await bob.$eval('form:has(input[name=form])', (form, place) => {
    const said = Object.assign(document.createElement('input'), { name: 'decision', value: 'deny' });
    const own = document.createElement('form');
    own.append(form.elements.form.cloneNode(), said);
    Object.assign(own, { method: 'post', action: place, id: 'own' });
    document.body.append(own);
  }, asked.place);
  const [answer] = await Promise.all([bob.waitForNavigation(), bob.$eval('#own', (form) => form.submit())]);
  check(answer.status() === 403, answer.status());
  await has(bob, 'not one of those who answer');
  check((await stands(asked)) === 'pending', await stands(asked));
  await page.goto(asked.place);
  await press(page, answers('deny'));
});
await tell('the agent heard what was allowed, and each of it once', async () => {
  const { heard } = await (await fetch(input.heard)).json();
  const words = heard.map((message) => message.parts[0].text);
  check(words.join() === 'let the plumber in,the cat wants in,the cat wants in,open the safe', words);
});
await tell('no page complained', async () => {
  check(complaints.length === 0, complaints.join('\n'));
});

const keys = [...await held({ session, authenticatorId }), ...await held(spareKey)].map(({ credentialId, privateKey }) => {
  const own = createPrivateKey({ key: Buffer.from(privateKey, 'base64'), format: 'der', type: 'pkcs8' });
  return [Buffer.from(credentialId, 'base64').toString('base64url'), createPublicKey(own).export({ format: 'pem', type: 'spki' })];
});
console.log(JSON.stringify({ kept, keys: Object.fromEntries(keys) }));

await browser.close();
site.close();
