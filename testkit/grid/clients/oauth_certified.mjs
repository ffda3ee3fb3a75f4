// npm openid-client as a client that is known by its certificate (RFC 8705, tls_client_auth), over TLS at the main listener.
// One JSON line a case: {case, ok, detail}. Input is a JSON document on standard input: {issuer, agent, root, certificates},
// where `certificates` holds {cert, key} of `nav`, of `nav` renewed, and of `radio`, as PEM.

import { Agent, request } from 'node:https';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const load = createRequire(`${process.env.GRID_PACKAGES}/`);
const oidc = await import(pathToFileURL(load.resolve('openid-client')).href);
const input = JSON.parse(await new Response(process.stdin).text());

function check(holds, ...words) {
  if (!holds) throw new Error(words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))).join(' '));
}

async function tell(name, run) {
  let detail = '';
  try {
    await run();
  } catch (error) {
    detail = `${error.code ?? ''} ${error.error ?? ''} ${error.message}`.trim().slice(0, 400);
  }
  console.log(JSON.stringify({ case: name, ok: detail === '', detail }));
}

async function refused(promise, error) {
  const reason = await promise.then(() => null, (reason) => reason);
  check(reason?.error === error, 'refused with', reason?.error ?? reason?.message ?? 'nothing', 'and not with', error);
}

/** The built-in fetch shows no certificates, so requests go by node:https; the library takes any fetch. */
function showing(certificate) {
  const agent = new Agent({ ca: input.root, ...certificate, keepAlive: false, minVersion: 'TLSv1.3', timeout: 20_000 });
  return (url, options = {}) =>
    new Promise((resolve, reject) => {
      const body = options.body === undefined || options.body === null ? undefined : String(options.body);
      const headers = Object.fromEntries(new Headers(options.headers).entries());
      const sent = request(url, { agent, method: options.method ?? 'GET', headers }, async (answer) => {
        const parts = [];
        for await (const part of answer) parts.push(part);
        resolve(new Response(Buffer.concat(parts), { status: answer.statusCode, headers: answer.headers }));
      });
      sent.on('error', reject);
      sent.end(body);
    });
}

const client = (id, certificate, auth = oidc.TlsClientAuth()) =>
  oidc.discovery(new URL(input.issuer), id, undefined, auth, { algorithm: 'oauth2', [oidc.customFetch]: showing(certificate) });

async function call(token, certificate) {
  const message = { messageId: crypto.randomUUID(), role: 'ROLE_USER', parts: [{ text: 'echo hello' }] };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'SendMessage', params: { message } });
  const headers = { 'content-type': 'application/json', 'a2a-version': '1.0', authorization: `Bearer ${token}` };
  const answer = await showing(certificate)(input.agent, { method: 'POST', headers, body });
  return { status: answer.status, body: await answer.json() };
}

async function works(token, certificate) {
  const { status, body } = await call(token, certificate);
  check(body.result?.task?.status?.state === 'TASK_STATE_COMPLETED', 'the agent said', status, body);
}

async function worthless(token, certificate) {
  const { status, body } = await call(token, certificate);
  check(status === 401 && body.error.data[0].metadata.code === 'MG-0401', 'the agent said', status, body);
}

const { nav, renewed, radio } = input.certificates;
const own = await client('nav', nav);
const server = own.serverMetadata();
let token;

await tell('metadata', async () => {
  check(server.token_endpoint_auth_methods_supported.includes('tls_client_auth'), server);
  check(server.tls_client_certificate_bound_access_tokens === true, server);
});
await tell('client credentials, tls_client_auth', async () => {
  token = (await oidc.clientCredentialsGrant(own, { scope: 'a2a:*:send' })).access_token;
  await works(token, nav);
});
await tell('the token on a connection of another certificate, and of none', async () => {
  for (const shown of [renewed, radio, {}]) await worthless(token, shown);
});
await tell('introspection names the certificate', async () => {
  const about = await oidc.tokenIntrospection(own, token);
  check(about.active && about.cnf['x5t#S256'] === input.thumbprint, about, input.thumbprint);
});
await tell('another certificate, and none', async () => {
  await refused(oidc.clientCredentialsGrant(await client('nav', radio)), 'invalid_client');
  await refused(oidc.clientCredentialsGrant(await client('nav', {})), 'invalid_client');
});
await tell('a client with a secret is not known by a certificate', async () => {
  await refused(oidc.clientCredentialsGrant(await client('robot', nav)), 'invalid_client');
});
await tell('a renewed certificate of the same name', async () => {
  const after = await client('nav', renewed);
  const { access_token: fresh } = await oidc.clientCredentialsGrant(after);
  await works(fresh, renewed);
  await worthless(fresh, nav);
});
await tell('revocation', async () => {
  await oidc.tokenRevocation(own, token);
  await worthless(token, nav);
});
