// Chromium at the gateway's pages, with an authenticator that the browser plays itself (CDP WebAuthn). One JSON line a case:
// {case, ok, detail}. Whatever a page complains of on the console, and every dialog, makes the last case red.
//
// Input is a JSON document on standard input: {base, issuer, links: {alice, bob}, password, chromium, shots?}. With `shots`, a folder,
// each page is photographed as a phone and a desk see it, dark and light.

import { createServer } from 'node:http';

import { authenticator, browser, check, complaints, input, open, press, tell } from './browser.mjs';

const { base } = input;

const shot = async (page, name) => {
  if (!input.shots) return;
  for (const [width, height, kind] of [[380, 780, 'phone'], [1280, 900, 'desk']]) {
    for (const scheme of ['light', 'dark']) {
      await page.setViewport({ width, height });
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      await page.screenshot({ path: `${input.shots}/${name}-${kind}-${scheme}.png`, fullPage: true });
    }
  }
  await page.setViewport({ width: 380, height: 780 });
};

const says = (page) => page.$eval('main', (main) => main.innerText);
const fits = async (page) => {
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(wider <= 0, 'the page is', wider, 'pixels wider than a phone');
};
const until = async (page, words) => {
  await page.waitForFunction((words) => document.querySelector('main')?.innerText.includes(words), { timeout: 15000 }, words);
};

async function asks(scope = 'a2a:*:send a2a:*:get a2a:*:cancel') {
  const body = new URLSearchParams({ client_id: 'panel', scope });
  const answer = await (await fetch(`${base}/oauth/device_authorization`, { method: 'POST', body })).json();
  check(answer.user_code, answer);
  return answer;
}
async function collects({ device_code }) {
  const grant_type = 'urn:ietf:params:oauth:grant-type:device_code';
  const body = new URLSearchParams({ client_id: 'panel', grant_type, device_code });
  return (await fetch(`${base}/oauth/token`, { method: 'POST', body })).json();
}

const focused = (page, value) =>
  page.waitForFunction((value) => document.activeElement?.value === value, { timeout: 15000 }, value);

/// A site of somebody else's.
const site = createServer((request, response) => {
  const url = new URL(request.url, 'http://127.0.0.1');
  site.seen.push(url);
  response.setHeader('content-type', 'text/html');
  if (url.pathname === '/link') return response.end(`<main><a href="${url.searchParams.get('to')}">go</a></main>`);
  if (url.pathname === '/attack') {
    return response.end(`<form method="post" action="${base}/oauth/device">
      <input name="user_code" value="${url.searchParams.get('code')}"><input name="answer" value="allow">
      <input name="form" value="guess"><button>go</button></form>`);
  }
  return response.end('<main>back at the program</main>');
});
site.seen = [];
await new Promise((done) => site.listen(Number(input.port), '127.0.0.1', done));
const elsewhere = `http://127.0.0.1:${site.address().port}`;

const context = await browser.createBrowserContext();
const page = await open(context);
const { session, authenticatorId } = await authenticator(page);

await tell('a passkey is made by a link', async () => {
  await page.goto(input.links.alice);
  await fits(page);
  await page.waitForSelector('form[data-passkey=create]:not([hidden])');
  await shot(page, 'sign-up');
  await press(page, 'form[data-passkey=create] button');
  check((await says(page)).includes('made 20'), await says(page));
  await fits(page);
  const { credentials } = await session.send('WebAuthn.getCredentials', { authenticatorId });
  check(credentials.length === 1 && credentials[0].isResidentCredential && credentials[0].rpId === 'localhost', credentials);
});
await tell('the passkey signs in, by itself', async () => {
  await press(page, 'footer button');
  await page.waitForSelector('form[data-passkey=get]:not([hidden])');
  await fits(page);
  await shot(page, 'sign-in');
  await press(page, 'form[data-passkey=get] button');
  check(page.url() === `${base}/oauth/account`, page.url());
  await shot(page, 'account');
});
await tell('another passkey is added, but not the same device twice', async () => {
  await page.click('form[data-passkey=create] button');
  await until(page, 'has a passkey for you already');
  await page.goto(`${base}/oauth/account`);
});
await tell('a device is let in by typing its code', async () => {
  const device = await asks();
  await press(page, 'a.button[href="/oauth/device"]');
  await shot(page, 'code');
  await page.type('#user_code', device.user_code.toLowerCase().replace('-', ''));
  await press(page, 'form[action="/oauth/device"] button');
  const text = await says(page);
  for (const words of ['127.0.0.1', 'panel', 'send messages to every skill', 'cancel, pause and resume', 'Deny it unless']) {
    check(text.includes(words), words, 'is missing in', text);
  }
  await fits(page);
  await shot(page, 'question');
  await focused(page, 'deny');
  await press(page, 'button[value=allow]');
  check((await says(page)).includes('Allowed'), await says(page));
  await shot(page, 'allowed');
  const tokens = await collects(device);
  check(tokens.access_token, tokens);
});
await tell('a stray Enter denies', async () => {
  const device = await asks('a2a:*:send');
  await page.goto(device.verification_uri_complete.replace(input.issuer, base));
  check((await says(page)).includes('this very code'), await says(page));
  await press(page, 'form[action="/oauth/device"] button');
  await focused(page, 'deny');
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  check((await says(page)).includes('Denied'), await says(page));
  await shot(page, 'denied');
  check((await collects(device)).error === 'access_denied', 'the device was let in');
});
await tell('a wrong code says so', async () => {
  await page.goto(`${base}/oauth/device`);
  await page.type('#user_code', 'BCDFGHJK');
  await press(page, 'form[action="/oauth/device"] button');
  check((await says(page)).includes('Nobody waits for this code'), await says(page));
  await shot(page, 'wrong-code');
});
await tell('a link on another site finds the person signed in', async () => {
  await page.goto(`${elsewhere}/link?to=${encodeURIComponent(`${base}/oauth/device?user_code=BCDF-GHJK`)}`);
  await page.click('a');
  await until(page, 'Which code does the device show?');
});
await tell('a form on another site decides nothing', async () => {
  const device = await asks('a2a:*:send');
  await page.goto(`${elsewhere}/attack?code=${device.user_code}`);
  await press(page, 'button');
  const text = await page.evaluate(() => document.body.innerText);
  check(!text.includes('Allowed'), text);
  check((await collects(device)).error === 'authorization_pending', 'something was decided');
});
await tell('a program in the browser gets its code, and its mistake', async () => {
  const query = new URLSearchParams({
    response_type: 'code', client_id: 'app', redirect_uri: `${elsewhere}/back`, scope: 'a2a:*:send', state: 's<t>ate',
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256',
  });
  await page.goto(`${elsewhere}/link?to=${encodeURIComponent(`${base}/oauth/authorize?${query}`)}`);
  await page.click('a');
  await until(page, 'Leads to');
  await fits(page);
  await shot(page, 'consent');
  await press(page, 'button[value=allow]');
  await until(page, 'back at the program');
  const back = site.seen.findLast((url) => url.pathname === '/back');
  check(back.searchParams.get('code') && back.searchParams.get('state') === 's<t>ate', back.search);
  check(back.searchParams.get('iss') === input.issuer, back.search);
  query.set('redirect_uri', 'https://evil.example/');
  await page.goto(`${base}/oauth/authorize?${query}`);
  check((await says(page)).includes('That did not work'), await says(page));
  await shot(page, 'problem');
});
await tell('names that hold markup are text, and a page cannot be framed', async () => {
  const device = await asks('a2a:*:send');
  await page.goto(`${base}/oauth/device`);
  await page.type('#user_code', device.user_code);
  await press(page, 'form[action="/oauth/device"] button');
  check((await says(page)).includes('<img src=x onerror=alert(1)>'), await says(page));
  await page.goto(`${elsewhere}/plain`);
  const shown = await page.evaluate(async (address) => {
    const frame = document.createElement('iframe');
    frame.src = address;
    document.body.append(frame);
    await new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
    try { return frame.contentDocument === null ? 'another origin' : 'own'; } catch { return 'another origin'; }
  }, `${base}/oauth/sign-in`);
  const frame = page.frames().find((one) => one !== page.mainFrame());
  const inside = frame ? await frame.evaluate(() => document.body.innerText).catch(() => '') : '';
  check(!inside.includes('Sign in'), shown, inside);
  // Chromium says on the console that it kept to the policy.
  const told = complaints.findIndex((words) => words.includes('frame-ancestors'));
  check(told >= 0, 'nothing was refused', complaints);
  complaints.splice(told, 1);
});
await tell('without scripts, by password', async () => {
  const plain = await open(await browser.createBrowserContext());
  await plain.setJavaScriptEnabled(false);
  await plain.goto(input.links.bob);
  check(!(await says(plain)).includes('passkey'), 'a button that could not work');
  await plain.type('#password', input.password);
  await plain.type('#again', input.password);
  await press(plain, 'form[action="/oauth/sign-up"] button');
  check((await says(plain)).includes('You sign in as bob'), await says(plain));
  await press(plain, 'footer button');
  await plain.type('#name', 'bob');
  await plain.type('#password', 'not the password');
  await press(plain, 'form[action="/oauth/sign-in"] button');
  check((await says(plain)).includes('The name or the password is wrong'), await says(plain));
  await shot(plain, 'sign-in-failed');
  await plain.type('#password', input.password);
  await press(plain, 'form[action="/oauth/sign-in"] button');
  check(plain.url() === `${base}/oauth/account`, plain.url());
});
await tell('an authenticator that does not verify its owner is refused', async () => {
  await page.goto(`${base}/oauth/account`);
  await press(page, 'footer button');
  await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await page.click('form[data-passkey=get] button');
  await until(page, 'did not give a passkey');
});
await tell('no page complained', async () => {
  check(complaints.length === 0, complaints.join('\n'));
});

await browser.close();
site.close();
