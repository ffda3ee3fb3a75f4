// npm oidc-provider as the authorization server of agents, and agents that let in only who shows one of its tokens.
//
// It also exchanges tokens (RFC 8693): what the gateway shows in place of its caller is verified with the gateway's published keys,
// once, and the token that comes of it names the caller.
//
// `--folder F` writes the clients' private keys there, prints `READY PORT` and serves: below /agents/NAME an agent's card and
// JSON-RPC, which answers 401 unless the token is the server's own, of client NAME, for this agent and alive; at /seen what came;
// at /revoke what withdraws all tokens of a client; at /trust what says where the gateway is, and at /distrust its opposite.

import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { load } from './harness.mjs';

const module = load('oidc-provider');
const jose = load('jose');
const Provider = module.default ?? module;
const folder = process.argv[process.argv.indexOf('--folder') + 1];
const KINDS = { 'key-ec': ['ec', { namedCurve: 'P-256' }, 'ES256'], 'key-ed': ['ed25519', {}, 'EdDSA'],
  'key-rsa': ['rsa', { modulusLength: 2048 }, 'PS256'] };
const SECRET = 's:e&c+r%t ~/=?';
const seen = [];
const live = new Map();

function client(client_id, more) {
  return { client_id, grant_types: ['client_credentials'], response_types: [], redirect_uris: [], ...more };
}

const clients = ['secret', 'short', 'revoked', 'scope'].map((name) =>
  client(name, { client_secret: SECRET, token_endpoint_auth_method: 'client_secret_basic', scope: 'lights.use' }));
for (const [name, [kind, options, alg]] of Object.entries(KINDS)) {
  const { privateKey, publicKey } = generateKeyPairSync(kind, options);
  writeFileSync(`${folder}/${name}.pem`, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const key = { ...publicKey.export({ format: 'jwk' }), kid: name, use: 'sig', alg };
  clients.push(client(name, { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: alg,
    jwks: { keys: [key] }, scope: 'lights.use' }));
}

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const TYPE = 'urn:ietf:params:oauth:token-type:';
for (const name of ['for-token', 'for-word', 'wide']) {
  clients.push(client(name, { client_secret: SECRET, token_endpoint_auth_method: 'client_secret_basic', scope: 'lights.use lights.see',
    grant_types: [EXCHANGE] }));
}

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients,
  scopes: ['lights.use', 'lights.see'],
  clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
  enabledJWA: { clientAuthSigningAlgValues: ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, resource, client) => ({
        scope: 'lights.use', audience: resource, accessTokenFormat: 'opaque',
        accessTokenTTL: client.clientId === 'short' ? 4 : 600,
      }),
    },
  },
});
provider.on('server_error', (ctx, error) => console.error(error));
provider.on('grant.error', (ctx, error) => console.error(error.error, error.error_description, error.error_detail));

// Where the gateway is; nobody's tokens are exchanged before it is said.
let gateway;
const used = new Set();

// Who stands behind a subject token, and by whom they are represented.
async function subject(type, token) {
  if (!gateway) throw new Error('nobody is trusted');
  const set = (path) => jose.createRemoteJWKSet(new URL(path, gateway.root));
  if (type === `${TYPE}access_token`) {
    const { payload } = await jose.jwtVerify(token, set('/oauth/jwks'), { issuer: gateway.issuer, typ: 'at+jwt' });
    return { of: payload.sub };
  }
  if (type !== `${TYPE}jwt`) throw new Error(`no subject of type ${type}`);
  const { payload } = await jose.jwtVerify(token, set('/.well-known/jwks.json'), {
    issuer: gateway.issuer, audience: `${issuer}/token`, algorithms: ['ES256'], maxTokenAge: 60,
    requiredClaims: ['sub', 'jti', 'exp', 'scope'],
  });
  if (used.has(payload.jti)) throw new Error('used before');
  used.add(payload.jti);
  return { of: payload.sub, by: payload.act?.sub };
}

async function exchange(ctx) {
  const { client, params, provider } = ctx.oidc;
  const invalid = (description) => {
    ctx.status = 400;
    ctx.body = { error: 'invalid_grant', error_description: description };
  };
  let who;
  try {
    who = await subject(params.subject_token_type, params.subject_token);
  } catch (error) {
    console.error(error.message);
    return invalid(error.message);
  }
  if (params.actor_token || params.requested_token_type !== `${TYPE}access_token`) return invalid('not that');
  const scope = client.clientId === 'wide' ? 'lights.use lights.see' : params.scope;
  const info = { scope, audience: params.resource, accessTokenFormat: 'opaque', accessTokenTTL: 600 };
  const token = new provider.AccessToken({ client, accountId: `${who.by ?? 'nobody'} for ${who.of}`, gty: EXCHANGE, scope });
  token.resourceServer = new provider.ResourceServer(params.resource, info);
  const value = await token.save();
  ctx.body = { access_token: value, issued_token_type: `${TYPE}access_token`, token_type: token.tokenType,
    expires_in: token.expiration, scope };
}

provider.registerGrantType(EXCHANGE, exchange, ['subject_token', 'subject_token_type', 'requested_token_type', 'actor_token',
  'audience', 'resource', 'scope']);

async function agent(name, request, response) {
  const answer = (status, value) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  if (request.method === 'GET') {
    return answer(200, {
      name, description: 'Lets in who shows a token.', version: '1', capabilities: {},
      supportedInterfaces: [{ url: `${issuer}/agents/${name}/rpc`, protocolBinding: 'JSONRPC', protocolVersion: '1.0' }],
      defaultInputModes: ['text/plain'], defaultOutputModes: ['text/plain'],
      skills: [{ id: `${name}.do`, name: 'Do', description: 'Does it.', tags: ['grid'] }],
    });
  }
  let body = '';
  for await (const part of request) body += part;
  const value = (request.headers.authorization ?? '').replace(/^Bearer /, '');
  const found = async () => (await provider.ClientCredentials.find(value)) ?? provider.AccessToken.find(value);
  const token = value ? await found() : undefined;
  const audience = [token?.aud].flat();
  const ok = token?.isValid && token.clientId === name && token.scope === 'lights.use' && audience.includes(`${issuer}/agents/${name}`);
  seen.push({ name, ok: Boolean(ok), token: value.slice(-8) });
  if (!ok) return answer(401, {});
  live.set(name, token);
  const who = token.accountId ? `${token.clientId}, ${token.accountId}` : token.clientId;
  const message = { messageId: 'm', contextId: 'c', role: 'ROLE_AGENT', parts: [{ text: `let in as ${who}` }] };
  return answer(200, { jsonrpc: '2.0', id: JSON.parse(body).id, result: { message } });
}

const oidc = provider.callback();
server.on('request', async (request, response) => {
  const [, first, name] = request.url.split('?')[0].split('/');
  if (first === 'agents') return agent(name, request, response);
  if (first === 'seen') return response.end(JSON.stringify(seen));
  if (first === 'revoke') {
    await live.get(name)?.destroy();
    return response.end('{}');
  }
  if (first === 'trust' || first === 'distrust') {
    const query = new URL(request.url, issuer).searchParams;
    gateway = first === 'trust' ? { root: query.get('root'), issuer: query.get('issuer') } : undefined;
    return response.end('{}');
  }
  return oidc(request, response);
});
console.log(`READY ${server.address().port}`);
