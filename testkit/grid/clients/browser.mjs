// What the clients that drive Chromium share: what they are given, cases, a browser whose pages are listened to, an authenticator that
// the browser plays itself (CDP WebAuthn), how pages look.
//
// The input is a JSON document on standard input; `chromium` in it is the program, `shots` a folder for pictures. One JSON line a case
// goes to stdout: {case, ok, detail}.

import { pathToFileURL } from 'node:url';

import { check, load } from './harness.mjs';

const { default: puppeteer } = await import(pathToFileURL(load.resolve('puppeteer-core')).href);

export { check };
export const input = JSON.parse(await new Response(process.stdin).text());
/** Whatever a page complained of on its console, a policy that was broken included, and every dialog. */
export const complaints = [];
export const PHONE = { width: 380, height: 780 };
export const DESK = { width: 1280, height: 900 };

export async function tell(name, run) {
  let detail = '';
  try {
    await run();
  } catch (error) {
    detail = `${error.message}`.slice(0, 600) || 'failed';
  }
  console.log(JSON.stringify({ case: name, ok: detail === '', detail }));
}

export async function until(what, found) {
  for (const end = Date.now() + 20000; Date.now() < end; await new Promise((done) => setTimeout(done, 50))) {
    const value = await found();
    if (value) return value;
  }
  throw new Error(`${what}: not in time`);
}

export const browser = await puppeteer.launch({
  executablePath: input.chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
});

/** A page as large as a phone, whose complaints are kept. */
export async function open(context) {
  const page = await context.newPage();
  await page.setViewport(PHONE);
  page.on('console', (message) => {
    // A refusal is answered with a status that the console repeats; RS256 is not asked for on purpose.
    const meant = ['Failed to load resource', 'publicKey.pubKeyCredParams is missing'];
    if (!meant.some((words) => message.text().startsWith(words))) complaints.push(`${page.url()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error.message}`));
  page.on('dialog', async (dialog) => {
    complaints.push(`${page.url()}: a dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  await page.evaluateOnNewDocument(() => {
    document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective}`));
  });
  return page;
}

export async function authenticator(page) {
  const session = await page.createCDPSession();
  await session.send('WebAuthn.enable');
  const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return { session, authenticatorId };
}

/** Presses a button and waits for the page that comes of it. */
export const press = (page, selector) => Promise.all([page.waitForNavigation(), page.click(selector)]);

/** As a phone and a desk see it, dark and light: nothing is wider than the window, and the colours are others. */
export async function look(page, name, photograph) {
  const grounds = new Set();
  for (const [kind, size] of [['phone', PHONE], ['desk', DESK]]) {
    for (const scheme of ['light', 'dark']) {
      await page.setViewport(size);
      const still = { name: 'prefers-reduced-motion', value: 'reduce' };
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }, still]);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      check(wider <= 0, name, 'is', wider, 'pixels wider than a', kind);
      grounds.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
      if (input.shots) await photograph(`${input.shots}/${name}-${kind}-${scheme}.png`, kind, scheme);
    }
  }
  check(grounds.size === 2, 'dark and light are the same', [...grounds]);
  await page.setViewport(PHONE);
  await page.emulateMediaFeatures([]);
}
