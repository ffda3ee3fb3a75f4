// npm openid-client as a stranger at the gateway's authorization server: it registers nothing itself, discovers everything, and
// uses each token at an agent. One JSON line a case: {case, ok, detail}.
//
// Input is a JSON document on standard input: {issuer, agent, secret, relay, keys, people?}. With `people`, a browser is played over
// HTTP: forms are posted as a page would, with its cookies.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const load = createRequire(`${process.env.GRID_PACKAGES}/`);
const oidc = await import(pathToFileURL(load.resolve('openid-client')).href);
const jose = await import(pathToFileURL(load.resolve('jose')).href);

const input = JSON.parse(await new Response(process.stdin).text());
const { issuer, agent } = input;
const insecure = { algorithm: 'oauth2', execute: [oidc.allowInsecureRequests] };

function check(holds, ...words) {
  if (!holds) throw new Error(words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))).join(' '));
}

const LIMIT_MS = 60_000;

async function tell(name, run) {
  let detail = '';
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('not in time')), LIMIT_MS);
  });
  const running = run();
  try {
    await Promise.race([running, late]);
  } catch (error) {
    const cause = error.cause ? ` ${JSON.stringify(error.cause)}` : '';
    detail = `${error.code ?? ''} ${error.error ?? ''} ${error.message}${cause}`.trim().slice(0, 400);
  }
  clearTimeout(timer);
  running.catch(() => {});
  console.log(JSON.stringify({ case: name, ok: detail === '', detail }));
}

async function refused(promise, error) {
  try {
    await promise;
  } catch (reason) {
    // A 401 with a challenge is told by the library without its body.
    const said = reason.error ?? (reason.response?.status === 401 ? 'invalid_client' : reason.message);
    check(said === error, 'refused with', said, reason.error_description ?? '', 'and not with', error);
    return;
  }
  throw new Error(`it was not refused with ${error}`);
}

const client = (id, auth) => oidc.discovery(new URL(issuer), id, undefined, auth, insecure);

function send(token) {
  const message = { messageId: crypto.randomUUID(), role: 'ROLE_USER', parts: [{ text: 'echo hello' }] };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'SendMessage', params: { message } });
  const headers = { 'content-type': 'application/json', 'a2a-version': '1.0', authorization: `Bearer ${token}` };
  return fetch(agent, { method: 'POST', headers, body });
}

async function call(token) {
  const answer = await send(token);
  return { status: answer.status, body: await answer.json() };
}

async function works(token) {
  const { status, body } = await call(token);
  check(body.result?.task?.status?.state === 'TASK_STATE_COMPLETED', 'the agent said', status, body);
}

async function worthless(token) {
  const { status, body } = await call(token);
  check(status === 401 && body.error.data[0].metadata.code === 'MG-0401', 'the agent said', status, body);
}

const urn = (name) => `urn:ietf:params:oauth:${name}`;

// RFC 8693: the client's own token in exchange for one that it was handed.
function exchange(who, subject_token, more = {}) {
  return oidc.genericGrantRequest(who, urn('grant-type:token-exchange'), {
    subject_token, subject_token_type: urn('token-type:access_token'), ...more,
  });
}

async function machines() {
  const robot = await client('robot', oidc.ClientSecretBasic(input.secret));
  const server = robot.serverMetadata();

  await tell('metadata', async () => {
    check(server.issuer === issuer, server);
    check(server.code_challenge_methods_supported.join() === 'S256', server);
    check(server.authorization_response_iss_parameter_supported === true, server);
    check(!server.grant_types_supported.some((grant) => ['password', 'implicit'].includes(grant)), server);
    const alias = await oidc.discovery(new URL(issuer), 'robot', undefined, oidc.None(), {
      execute: [oidc.allowInsecureRequests],
    });
    check(alias.serverMetadata().token_endpoint === server.token_endpoint, alias.serverMetadata());
  });
  await tell('client credentials, client_secret_basic', async () => {
    const tokens = await oidc.clientCredentialsGrant(robot, { scope: 'a2a:*:send' });
    check(tokens.token_type === 'bearer' && tokens.expires_in === 3600 && !tokens.refresh_token, tokens);
    await works(tokens.access_token);
  });
  await tell('client credentials, client_secret_post', async () => {
    const posting = await client('robot', oidc.ClientSecretPost(input.secret));
    await works((await oidc.clientCredentialsGrant(posting)).access_token);
  });
  await tell('client credentials, a wrong secret', async () => {
    const guessing = await client('robot', oidc.ClientSecretBasic('guess'));
    await refused(oidc.clientCredentialsGrant(guessing), 'invalid_client');
  });
  for (const [id, alg] of [['signer-es256', 'ES256'], ['signer-eddsa', 'EdDSA']]) {
    await tell(`client credentials, private_key_jwt with ${alg}`, async () => {
      const key = await jose.importJWK(input.keys[id], alg);
      // The library writes Ed25519 (RFC 9864); the server reads the older name alone (RFC 8037).
      const named = { [oidc.modifyAssertion]: (header) => { header.alg = alg; } };
      const signer = await client(id, oidc.PrivateKeyJwt({ key, kid: input.keys[id].kid }, named));
      await works((await oidc.clientCredentialsGrant(signer)).access_token);
    });
  }
  await tell("private_key_jwt, another's key", async () => {
    const { privateKey } = await jose.generateKeyPair('ES256');
    const signer = await client('signer-es256', oidc.PrivateKeyJwt({ key: privateKey, kid: input.keys['signer-es256'].kid }));
    await refused(oidc.clientCredentialsGrant(signer), 'invalid_client');
  });
  await tell('private_key_jwt, the same assertion twice', async () => {
    const key = await jose.importJWK(input.keys['signer-es256'], 'ES256');
    const assertion = await new jose.SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: input.keys['signer-es256'].kid })
      .setIssuer('signer-es256').setSubject('signer-es256').setAudience(issuer)
      .setIssuedAt().setExpirationTime('60s').setJti(crypto.randomUUID()).sign(key);
    const post = () => fetch(server.token_endpoint, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials', client_id: 'signer-es256', client_assertion: assertion,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      }),
    });
    check((await post()).status === 200, 'the first use');
    const second = await post();
    check(second.status !== 200 && (await second.json()).error === 'invalid_client', 'the second use', second.status);
  });
  await tell('a token as jose reads it', async () => {
    const { access_token: token } = await oidc.clientCredentialsGrant(robot);
    const keys = jose.createRemoteJWKSet(new URL(server.jwks_uri));
    const { payload, protectedHeader } = await jose.jwtVerify(token, keys, { issuer, audience: issuer, typ: 'at+jwt' });
    check(protectedHeader.alg === 'ES256' && protectedHeader.kid, protectedHeader);
    check(payload.client_id === 'robot' && payload.sub === 'robot' && payload.jti && payload.exp - payload.iat === 3600, payload);
  });
  await tell('resource indicators', async () => {
    const tokens = await oidc.clientCredentialsGrant(robot, { resource: `${issuer}/a2a` });
    check(jose.decodeJwt(tokens.access_token).aud === `${issuer}/a2a`, jose.decodeJwt(tokens.access_token));
    await works(tokens.access_token);
    await refused(oidc.clientCredentialsGrant(robot, { resource: 'https://other.example' }), 'invalid_target');
  });
  await tell('scopes grow for nobody', async () => {
    await refused(oidc.clientCredentialsGrant(robot, { scope: 'a2a:*:*' }), 'invalid_scope');
    await refused(oidc.clientCredentialsGrant(robot, { scope: 'register' }), 'invalid_scope');
    const narrow = await oidc.clientCredentialsGrant(robot, { scope: 'a2a:nothing:send' });
    const { status } = await call(narrow.access_token);
    check(status === 403, 'a token for another skill is answered', status);
  });
  await tell('introspection and revocation', async () => {
    const { access_token: token } = await oidc.clientCredentialsGrant(robot);
    const active = await oidc.tokenIntrospection(robot, token);
    check(active.active === true && active.client_id === 'robot' && active.scope.includes('a2a:*:send'), active);
    await works(token);
    await oidc.tokenRevocation(robot, token);
    const gone = await oidc.tokenIntrospection(robot, token);
    check(gone.active === false && gone.client_id === undefined, gone);
    await worthless(token);
  });
  await tell("another's token is nobody's business", async () => {
    const { access_token: token } = await oidc.clientCredentialsGrant(robot);
    const key = await jose.importJWK(input.keys['signer-es256'], 'ES256');
    const signer = await client('signer-es256', oidc.PrivateKeyJwt({ key, kid: input.keys['signer-es256'].kid }));
    check((await oidc.tokenIntrospection(signer, token)).active === false, 'introspection');
    await oidc.tokenRevocation(signer, token);
    await works(token);
  });
  await tell('the resource says who issues its tokens', async () => {
    const answer = await send('x');
    const challenge = answer.headers.get('www-authenticate') ?? '';
    const [, url] = /resource_metadata="([^"]+)"/.exec(challenge) ?? [];
    check(answer.status === 401 && url, challenge);
    const resource = await (await fetch(url)).json();
    check(resource.authorization_servers.includes(issuer), resource);
  });
  const relay = await client('relay', oidc.ClientSecretBasic(input.relay));
  await tell('token exchange', async () => {
    check(server.grant_types_supported.includes(urn('grant-type:token-exchange')), server.grant_types_supported);
    const { access_token: subject } = await oidc.clientCredentialsGrant(robot);
    const tokens = await exchange(relay, subject, { scope: 'a2a:*:*' });
    check(tokens.issued_token_type === urn('token-type:access_token') && tokens.scope === 'a2a:*:send', tokens);
    check(tokens.token_type === 'bearer' && tokens.expires_in <= 3600 && !tokens.refresh_token, tokens);
    const keys = jose.createRemoteJWKSet(new URL(server.jwks_uri));
    const { payload } = await jose.jwtVerify(tokens.access_token, keys, { issuer, audience: issuer, typ: 'at+jwt' });
    check(payload.sub === 'robot' && payload.client_id === 'relay' && payload.act?.sub === 'relay', payload);
    check(payload.exp <= jose.decodeJwt(subject).exp, payload);
    await works(tokens.access_token);
    const about = await oidc.tokenIntrospection(relay, tokens.access_token);
    check(about.active === true && about.sub === 'robot' && about.act?.sub === 'relay', about);
    await oidc.tokenRevocation(robot, subject);
    check((await oidc.tokenIntrospection(relay, tokens.access_token)).active === false, 'it outlives its subject');
    await worthless(tokens.access_token);
  });
  await tell('token exchange, what is refused', async () => {
    const { access_token: subject } = await oidc.clientCredentialsGrant(robot);
    await refused(exchange(robot, subject), 'unauthorized_client');
    await refused(exchange(relay, 'x'), 'invalid_request');
    await refused(exchange(relay, subject, { scope: 'a2a:*:cancel' }), 'invalid_scope');
    await refused(exchange(relay, subject, { resource: 'https://other.example' }), 'invalid_target');
    await refused(exchange(relay, subject, { actor_token: subject, actor_token_type: urn('token-type:access_token') }), 'invalid_request');
  });
  await tell('a grant that it was not registered for', async () => {
    await refused(oidc.initiateDeviceAuthorization(robot, {}), 'unauthorized_client');
  });
}

await machines();
if (input.people) {
  const { people } = await import('./oauth_people.mjs');
  await people({ oidc, jose, input, issuer, client, tell, check, refused, works, worthless, exchange });
}
// What still polls for an answer that does not come must not keep this alive.
process.exit(0);
