// npm oidc-provider as an issuer whose access tokens the gateway accepts, and which changes its key while they are used.
//
// Prints `READY PORT` and serves. `/rotate/both` signs with a new key and publishes the old one beside it, `/rotate/new` publishes
// the new one alone; everything else is oidc-provider's own (client credentials of `robot`, JWT access tokens, its key set at /jwks).

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { load } from './harness.mjs';

const module = load('oidc-provider');
const Provider = module.default ?? module;
const AUDIENCE = 'https://gateway.grid.example';

function key(kid) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' };
}

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

function provider(keys) {
  const made = new Provider(issuer, {
    clients: [{
      client_id: 'robot', client_secret: 'a secret of the grid', token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['client_credentials'], response_types: [], redirect_uris: [], scope: 'a2a:*:send',
      id_token_signed_response_alg: 'ES256',
    }],
    scopes: ['a2a:*:send'],
    jwks: { keys },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: 'a2a:*:send', audience: AUDIENCE, accessTokenFormat: 'jwt', accessTokenTTL: 600,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  made.on('server_error', (ctx, error) => console.error(error));
  made.on('grant.error', (ctx, error) => console.error(error.error, error.error_description, error.error_detail));
  return made.callback();
}

const [old, fresh] = [key('old'), key('fresh')];
const stages = { both: [fresh, old], new: [fresh] };
let serve = provider([old]);
server.on('request', (request, response) => {
  const stage = request.url.startsWith('/rotate/') && stages[request.url.slice('/rotate/'.length)];
  if (!stage) return serve(request, response);
  serve = provider(stage);
  return response.end('{}');
});
console.log(`READY ${server.address().port}`);
