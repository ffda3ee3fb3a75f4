// Access tokens made with npm jose: keys for the gateway to trust, and tokens for it to judge.
//
// `keys --folder F` writes `private-jose.json` and the key set `jwks-jose.json`. `make --folder F --canary URL` prints good and hostile
// tokens, a JSON line for each: {kind, good, token}. URLs in hostile headers lead to the canary.

import { readFileSync, writeFileSync } from 'node:fs';
import { generateKeyPairSync } from 'node:crypto';

import { good, hostile } from './hostile_jose.mjs';
import { Maker, jose } from './maker_jose.mjs';

async function keys(folder) {
  const wanted = {
    es256: 'ES256', es384: 'ES384', 'es384-too': 'ES384', eddsa: 'EdDSA', rsa: 'RS256', es512: 'ES512',
    enc: 'ES256', derive: 'ES256', 'of-jose': 'ES256',
  };
  const held = [];
  for (const [kid, algorithm] of Object.entries(wanted)) {
    const { privateKey } = await jose.generateKeyPair(algorithm, { extractable: true });
    held.push({ ...(await jose.exportJWK(privateKey)), kid });
  }
  // The library makes none so small.
  held.push({ ...generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ format: 'jwk' }), kid: 'small' });
  const use = (kid) => (kid === 'derive' ? { key_ops: ['deriveKey'] } : { use: kid === 'enc' ? 'enc' : 'sig' });
  const open = ({ kty, crv, x, y, n, e, kid }) => ({ kty, crv, x, y, n, e, kid, ...use(kid) });
  writeFileSync(`${folder}/private-jose.json`, JSON.stringify({ keys: held }));
  writeFileSync(`${folder}/jwks-jose.json`, JSON.stringify({ keys: held.map(open) }));
}

const [what, ...words] = process.argv.slice(2);
const flag = (name) => words[words.indexOf(`--${name}`) + 1];
const folder = flag('folder');
if (what === 'keys') {
  await keys(folder);
} else {
  const read = (name) => JSON.parse(readFileSync(`${folder}/${name}-jose.json`, 'utf8')).keys;
  const maker = new Maker(read('private'), read('jwks'), flag('canary'));
  const said = (kind, isGood, token) => console.log(JSON.stringify({ kind, good: isGood, token }));
  for (const [kind, token] of Object.entries(await good(maker))) said(kind, true, token);
  for (const [kind, tokens] of Object.entries(await hostile(maker))) {
    for (const token of await Promise.all(tokens)) said(kind, false, token);
  }
}
