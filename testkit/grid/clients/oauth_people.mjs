// The part of oauth_openid.mjs that wants a person: a browser without a screen, which follows forms, and openid-client at the
// other end of the device flow and of the code flow.

// Cookies, forms by their action, and the address that the last page had.
class Browser {
  constructor(base) {
    this.base = base;
    this.cookies = new Map();
  }

  async go(path, fields) {
    const headers = { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
    if (fields) headers.origin = this.base;
    const body = fields && new URLSearchParams(fields);
    const answer = await fetch(new URL(path, this.base), {
      method: fields ? 'POST' : 'GET', headers, body, redirect: 'manual',
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [name, value] = cookie.split(';', 1)[0].split('=');
      this.cookies.set(name, value);
    }
    this.page = await answer.text();
    this.status = answer.status;
    const there = answer.headers.get('location');
    return there && answer.status === 303 ? this.go(there) : this;
  }

  // Fills in and sends the form of the page that goes to this path.
  submit(action, fields) {
    const forms = [...this.page.matchAll(/<form\b[^>]*\baction="([^"]*)"[^>]*>(.*?)<\/form>/gs)];
    const [, , form] = forms.find(([, to]) => to === action) ?? [];
    if (form === undefined) throw new Error(`no form leads to ${action}: ${this.status} ${this.words()}`);
    const hidden = [...form.matchAll(/<input\b[^>]*type="hidden"[^>]*>/g)].map(([input]) => {
      const [, name] = /name="([^"]*)"/.exec(input);
      const [, value] = /value="([^"]*)"/.exec(input) ?? [];
      return [name, plain(value ?? '')];
    });
    return this.go(action, { ...Object.fromEntries(hidden), ...fields });
  }

  words() {
    return plain(this.page.replace(/<(style|script)\b.*?<\/\1>/gs, '').replace(/<[^>]*>/g, ' ')).replace(/\s+/g, ' ').trim();
  }
}

const plain = (text) => text.replace(/&(lt|gt|quot|amp|#39);/g, (_, name) => ({ lt: '<', gt: '>', quot: '"', amp: '&', '#39': "'" })[name]);

export async function people({ oidc, jose, input, issuer, client, tell, check, refused, works, worthless, exchange }) {
  const { name, password } = input.people;
  const browser = new Browser(issuer);

  const signIn = async (path) => {
    await browser.go(path);
    if (browser.page.includes('action="/oauth/sign-in"')) await browser.submit('/oauth/sign-in', { name, password });
  };
  const tv = await client('tv', oidc.None());
  const begin = () => oidc.initiateDeviceAuthorization(tv, { scope: 'a2a:*:send' });
  // The person types the code, sees the question, answers.
  const answer = async (code, word) => {
    await signIn('/oauth/device');
    await browser.submit('/oauth/device', { user_code: code });
    const asked = browser.words();
    await browser.submit('/oauth/device', { answer: word });
    return asked;
  };
  let device;

  await tell('device flow: a person says yes', async () => {
    const begun = await begin();
    check(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-?[BCDFGHJKLMNPQRSTVWXZ]{4}$/.test(begun.user_code), begun);
    check(begun.verification_uri === `${issuer}/oauth/device` && begun.expires_in <= 600, begun);
    const polling = oidc.pollDeviceAuthorizationGrant(tv, begun);
    const asked = await answer(begun.user_code.toLowerCase(), 'allow');
    check(asked.includes('Television') && asked.includes('127.0.0.1') && /send/i.test(asked), asked);
    device = await polling;
    const claims = jose.decodeJwt(device.access_token);
    check(claims.sub === name && claims.client_id === 'tv' && device.refresh_token, claims);
    await works(device.access_token);
  });
  await tell('device flow: a person says no', async () => {
    const begun = await begin();
    await answer(begun.user_code, 'deny');
    await refused(oidc.pollDeviceAuthorizationGrant(tv, begun), 'access_denied');
  });
  await tell('device flow: a link with the code asks all the same', async () => {
    const begun = await begin();
    await signIn(begun.verification_uri_complete);
    const form = { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', client_id: 'tv', device_code: begun.device_code };
    const poll = async () => (await (await fetch(`${issuer}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) })).json()).error;
    check((await poll()) === 'authorization_pending', 'opening the link is no answer');
    check((await poll()) === 'slow_down', 'asking at once again');
  });
  await tell('device flow: a code that nobody waits for', async () => {
    await signIn('/oauth/device');
    await browser.submit('/oauth/device', { user_code: 'BCDF-GHJK' });
    check(browser.status === 404, browser.status, browser.words());
  });
  await tell('device flow: a form of another page', async () => {
    const begun = await begin();
    const stranger = await fetch(`${issuer}/oauth/device`, {
      method: 'POST', headers: { origin: issuer, cookie: [...browser.cookies].map((pair) => pair.join('=')).join('; ') },
      body: new URLSearchParams({ user_code: begun.user_code, answer: 'allow' }),
    });
    check(stranger.status === 403, 'a form without its token is answered', stranger.status);
  });
  await tell("token exchange of a person's token", async () => {
    const relay = await client('relay', oidc.ClientSecretBasic(input.relay));
    const tokens = await exchange(relay, device.access_token);
    const claims = jose.decodeJwt(tokens.access_token);
    check(claims.sub === name && claims.client_id === 'relay' && claims.act?.sub === 'relay', claims);
    check(claims.scope === 'a2a:*:send' && claims.exp <= jose.decodeJwt(device.access_token).exp, claims);
    await works(tokens.access_token);
  });
  await tell('refresh: rotation', async () => {
    const next = await oidc.refreshTokenGrant(tv, device.refresh_token);
    check(next.refresh_token && next.refresh_token !== device.refresh_token, 'a new refresh token');
    await works(next.access_token);
    device = { ...next, spent: device.refresh_token };
  });
  await tell('refresh: less, and never more', async () => {
    const next = await oidc.refreshTokenGrant(tv, device.refresh_token, { scope: 'a2a:*:send' });
    device = { ...next, spent: device.spent };
    await refused(oidc.refreshTokenGrant(tv, device.refresh_token, { scope: 'a2a:*:send a2a:*:get' }), 'invalid_scope');
  });
  await tell('refresh: reuse ends the grant', async () => {
    const begun = await begin();
    const polling = oidc.pollDeviceAuthorizationGrant(tv, begun);
    await answer(begun.user_code, 'allow');
    const first = await polling;
    const second = await oidc.refreshTokenGrant(tv, first.refresh_token);
    await works(second.access_token);
    await refused(oidc.refreshTokenGrant(tv, first.refresh_token), 'invalid_grant');
    await worthless(second.access_token);
    await worthless(first.access_token);
    await refused(oidc.refreshTokenGrant(tv, second.refresh_token), 'invalid_grant');
  });
  await tell('revocation of a refresh token', async () => {
    const begun = await begin();
    const polling = oidc.pollDeviceAuthorizationGrant(tv, begun);
    await answer(begun.user_code, 'allow');
    const tokens = await polling;
    await oidc.tokenRevocation(tv, tokens.refresh_token);
    await worthless(tokens.access_token);
    await refused(oidc.refreshTokenGrant(tv, tokens.refresh_token), 'invalid_grant');
  });
  await code({ oidc, jose, input, client, tell, check, refused, works, worthless, browser, signIn, name });
}

async function code({ oidc, jose, input, client, tell, check, refused, works, worthless, browser, signIn, name }) {
  const app = await client('app', oidc.None());
  const redirect = input.people.redirect_uri;
  const begin = async (more = {}) => {
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    const url = oidc.buildAuthorizationUrl(app, {
      redirect_uri: redirect, scope: 'a2a:*:send', state, code_challenge_method: 'S256',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier), ...more,
    });
    return { url, verifier, state };
  };
  // Where the page sends the browser.
  const decide = async (url, word) => {
    await signIn(url);
    if (word) await browser.submit('/oauth/authorize', { answer: word });
    const [, there] = /http-equiv="refresh" content="0;url=([^"]*)"/.exec(browser.page) ?? [];
    check(there, 'the browser is sent nowhere:', browser.status, browser.words());
    return new URL(plain(there));
  };

  await tell('code flow with PKCE', async () => {
    const { url, verifier, state } = await begin();
    const back = await decide(url, 'allow');
    check(back.href.startsWith(redirect) && back.searchParams.get('iss'), back.href);
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    const tokens = await oidc.authorizationCodeGrant(app, back, checks);
    check(jose.decodeJwt(tokens.access_token).sub === name && tokens.refresh_token, tokens);
    await works(tokens.access_token);
    await refused(oidc.authorizationCodeGrant(app, back, checks), 'invalid_grant');
    await worthless(tokens.access_token);
  });
  await tell('code flow: a person says no', async () => {
    const { url, verifier, state } = await begin();
    const back = await decide(url, 'deny');
    await refused(oidc.authorizationCodeGrant(app, back, { pkceCodeVerifier: verifier, expectedState: state }), 'access_denied');
  });
  await tell('code flow: another verifier', async () => {
    const { url, state } = await begin();
    const back = await decide(url, 'allow');
    const other = oidc.randomPKCECodeVerifier();
    await refused(oidc.authorizationCodeGrant(app, back, { pkceCodeVerifier: other, expectedState: state }), 'invalid_grant');
  });
  await tell('code flow: without PKCE', async () => {
    const { url } = await begin();
    url.searchParams.delete('code_challenge');
    url.searchParams.delete('code_challenge_method');
    const back = await decide(url);
    check(back.searchParams.get('error') === 'invalid_request', back.href);
  });
  await tell('code flow: elsewhere', async () => {
    const { url } = await begin({ redirect_uri: `${redirect}/else` });
    await signIn(url);
    check(browser.status === 400 && !browser.page.includes('http-equiv="refresh"'), browser.status, browser.words());
  });
}
