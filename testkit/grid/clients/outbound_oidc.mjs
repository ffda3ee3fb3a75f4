// npm oidc-provider as the authorization server of agents, and agents that let in only who shows one of its tokens.
//
// `--folder F` writes the clients' private keys there, prints `READY PORT` and serves: below /agents/NAME an agent's card and
// JSON-RPC, which answers 401 unless the token is the server's own, of client NAME, for this agent and alive; at /seen what came;
// at /revoke what withdraws all tokens of a client.

import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { load } from './harness.mjs';

const module = load('oidc-provider');
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

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients,
  scopes: ['lights.use'],
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
  const token = value ? await provider.ClientCredentials.find(value) : undefined;
  const audience = [token?.aud].flat();
  const ok = token?.isValid && token.clientId === name && token.scope === 'lights.use' && audience.includes(`${issuer}/agents/${name}`);
  seen.push({ name, ok: Boolean(ok), token: value.slice(-8) });
  if (!ok) return answer(401, {});
  live.set(name, token);
  const message = { messageId: 'm', contextId: 'c', role: 'ROLE_AGENT', parts: [{ text: `let in as ${token.clientId}` }] };
  return answer(200, { jsonrpc: '2.0', id: JSON.parse(body).id, result: { message } });
}

const oidc = provider.callback();
server.on('request', async (request, response) => {
  const [, first, name] = request.url.split('/');
  if (first === 'agents') return agent(name, request, response);
  if (first === 'seen') return response.end(JSON.stringify(seen));
  if (first === 'revoke') {
    await live.get(name)?.destroy();
    return response.end('{}');
  }
  return oidc(request, response);
});
console.log(`READY ${server.address().port}`);
