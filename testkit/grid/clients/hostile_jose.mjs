// The tokens that npm jose makes for the gateway to judge, by their kinds (`../hostile.py`).

import { createHmac, createPublicKey, randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';

import { AUDIENCE, ISSUER, encoded, jose, leftOver, now } from './maker_jose.mjs';

const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const json = JSON.stringify;

export async function good(maker) {
  const named = { ES256: 'es256', ES384: 'es384', EdDSA: 'eddsa', PS256: 'rsa', RS256: 'rsa' };
  const tokens = {};
  for (const [alg, kid] of Object.entries(named)) tokens[alg] = await maker.token({ alg, kid });
  return {
    ...tokens,
    'several audiences': await maker.token({ claims: { aud: ['https://other.example', AUDIENCE] } }),
    'typ in full': await maker.token({ header: { typ: 'application/at+jwt' } }),
    'typ in capitals': await maker.token({ header: { typ: 'AT+JWT' } }),
    'a fraction of a second': await maker.token({ claims: { exp: now() + 200.5 } }),
    'no kid, and one key fits': await maker.token({ alg: 'EdDSA', kid: 'eddsa', header: { kid: undefined } }),
    'blanks in the JSON': maker.raw(json(maker.head(), null, 2), json(maker.claims(), null, 8)),
    'members that nobody knows': await maker.token({ header: { b: [1] }, claims: { more: { a: [1, { b: null }] }, name: 'Ål 月' } }),
  };
}

async function algorithms(maker) {
  const pem = createPublicKey({ key: maker.published.rsa, format: 'jwk' });
  const exported = (format) => pem.export({ type: 'spki', format });
  const unsigned = (alg) => `${encoded(json(maker.head({ alg })))}.${encoded(json(maker.claims()))}.`;
  const mac = (secret) => {
    const signed = `${encoded(json(maker.head({ alg: 'HS256', kid: 'rsa' })))}.${encoded(json(maker.claims()))}`;
    return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
  };
  return {
    'alg none': [unsigned('none')],
    'alg none in odd spellings': ['None', 'NONE', 'nOnE', 'none ', ''].map(unsigned),
    'no alg': [maker.raw(maker.head({ alg: undefined }), maker.claims())],
    'an alg that is a list': [maker.raw(maker.head({ alg: ['ES256'] }), maker.claims())],
    'an alg of look-alike letters': ['\u0415S256', 'ES\uff1256', 'es256'].map((alg) => maker.raw(maker.head({ alg }), maker.claims())),
    'HS256 with a secret of its own': [maker.token({ alg: 'HS256', key: randomBytes(32) })],
    'HS256 with the public key as PEM': [mac(exported('pem')), mac(exported('pem').trimEnd())],
    'HS256 with the public key as DER': [mac(exported('der'))],
    'HS256 with the public key as JWK': [mac(json(maker.published.rsa)), mac(json(maker.published.rsa, null, 1))],
    'true signatures of algorithms that are not accepted': [
      maker.token({ alg: 'ES512', kid: 'es512' }), maker.token({ alg: 'RS512', kid: 'rsa' }),
      maker.token({ alg: 'PS384', kid: 'rsa' }), maker.token({ alg: 'HS512', key: randomBytes(64) }),
    ],
    'an RS256 signature that is called PS256': [
      maker.raw(maker.head({ alg: 'PS256', kid: 'rsa' }), maker.claims(), { alg: 'RS256', kid: 'rsa' })],
    'a PS256 signature that is called RS256': [
      maker.raw(maker.head({ alg: 'RS256', kid: 'rsa' }), maker.claims(), { alg: 'PS256', kid: 'rsa' })],
  };
}

async function keys(maker) {
  const { privateKey, publicKey } = await jose.generateKeyPair('ES256', { extractable: true });
  const key = await jose.exportJWK(privateKey);
  const rsa = await jose.exportJWK((await jose.generateKeyPair('RS256', { extractable: true })).privateKey);
  const small = (alg) => maker.raw(maker.head({ alg, kid: 'small' }), maker.claims(), { alg, kid: 'small' });
  const named = (kid) => maker.token({ header: { kid } });
  const jku = `${maker.canary}/jwks.json`;
  return {
    'the key of another algorithm': [named('rsa'), named('es384')],
    'an RSA key of 1024 bits': [small('RS256'), small('PS256')],
    'a key for encryption': [maker.token({ kid: 'enc' })],
    'a key that is not for verifying': [maker.token({ kid: 'derive' })],
    'another key under a known id': [maker.token({ key }), maker.token({ alg: 'RS256', kid: 'rsa', key: rsa })],
    'no kid, and several keys fit': [maker.token({ alg: 'ES384', kid: 'es384', header: { kid: undefined } })],
    'a kid that is a number': [maker.raw(maker.head({ kid: 7 }), maker.claims())],
    'an empty kid': [named('')],
    'a kid that is a path': ['../../../../dev/null', '/etc/passwd', 'es256\0'].map(named),
    'a kid that is SQL': ["' OR '1'='1", "es256'--"].map(named),
    'a kid that is a URL': [maker.token({ key, header: { kid: jku } })],
    "another issuer's key under its own kid": [maker.token({ kid: 'of-jose', claims: { iss: 'https://idp.grid.example' } })],
    'a key of its own in jwk': [maker.token({ key, header: { jwk: await jose.exportJWK(publicKey) } })],
    'keys of its own at jku': [maker.token({ key, header: { jku } })],
    'a certificate of its own at x5u': [maker.token({ key, header: { x5u: `${maker.canary}/chain.pem` } })],
    'keys of its own at jku, and their kid': [maker.token({ key, header: { kid: 'theirs', jku } })],
  };
}

async function signatures(maker) {
  const of = { ES256: 'es256', ES384: 'es384', EdDSA: 'eddsa', RS256: 'rsa', PS256: 'rsa' };
  const ended = (change, alg = 'ES256', form = undefined) =>
    maker.raw(maker.head({ alg, kid: of[alg] }), maker.claims(), { alg, kid: of[alg], form, ends: (made) => encoded(change(made)) });
  const shifted = (made) => {
    const big = BigInt(`0x${Buffer.from(made.subarray(32)).reverse().toString('hex')}`) + ORDER;
    return Buffer.concat([made.subarray(0, 32), Buffer.from(big.toString(16).padStart(64, '0'), 'hex').reverse()]);
  };
  const flipped = (made) => Buffer.concat([made.subarray(0, -1), Buffer.of(made.at(-1) ^ 1)]);
  const joined = (...parts) => Buffer.concat(parts);
  const zero = Buffer.of(0);
  const [one, other] = [await maker.token(), await maker.token({ claims: { sub: 'root' } })].map((token) => token.split('.'));
  return {
    'no signature': ['ES256', 'EdDSA', 'PS256'].map((alg) => ended(() => '', alg)),
    'an ECDSA signature of zeros': [
      ended(() => Buffer.alloc(64)), ended(() => Buffer.alloc(96), 'ES384'), ended(() => Buffer.alloc(8))],
    'an ECDSA signature in DER': [ended((made) => made, 'ES256', 'der'), ended((made) => made, 'ES384', 'der')],
    'a signature that is cut short': [ended((made) => made.subarray(0, -1)), ended((made) => made.subarray(0, 32))],
    'a signature with zeros about it': [
      ended((made) => joined(made, zero)), ended((made) => joined(zero, made)),
      ended((made) => joined(zero, made.subarray(0, 32), zero, made.subarray(32))), ended((made) => joined(zero, made), 'RS256'),
    ],
    'a signature with a bit changed': ['ES256', 'EdDSA', 'RS256', 'PS256'].map((alg) => ended(flipped, alg)),
    'an Ed25519 signature with the order of the group added': [ended(shifted, 'EdDSA')],
    "another token's signature": [[one[0], one[1], other[2]].join('.'), [one[0], other[1], one[2]].join('.')],
  };
}

async function forms(maker) {
  const whole = await maker.token();
  const claims = json(maker.claims());
  const [head, body, end] = whole.split('.');
  const silent = encoded(json(maker.head({ b64: false })));
  const encrypted = await new jose.CompactEncrypt(Buffer.from(whole))
    .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM', cty: 'JWT' })
    .encrypt(await jose.importJWK(maker.published.rsa, 'RSA-OAEP-256'));
  const padded = (part, left) => encoded(part + ' '.repeat((3 + left - (Buffer.byteLength(part) % 3)) % 3));
  const more = (member) => maker.token({ claims: `${claims.slice(0, -1)},${member}}` });
  const bytes = (from, to) => {
    const at = claims.indexOf(from);
    return Buffer.concat([Buffer.from(claims.slice(0, at)), Buffer.from(to), Buffer.from(claims.slice(at + from.length))]);
  };
  let plus = whole;
  while (!/[-_]/.test(plus.split('.')[2])) plus = await maker.token();
  const [start, signature] = [plus.slice(0, plus.lastIndexOf('.')), plus.slice(plus.lastIndexOf('.'))];
  const flat = { payload: body, protected: head, signature: end };
  return {
    'crit with an unknown name': [
      maker.raw(maker.head({ crit: ['exp'], exp: 9 }), claims), maker.raw(maker.head({ crit: ['urn:x'] }), claims)],
    'crit that is empty': [maker.raw(maker.head({ crit: [] }), claims), maker.raw(maker.head({ crit: 'b64' }), claims)],
    'b64 false, as crit says': [maker.raw(maker.head({ b64: false, crit: ['b64'] }), claims)],
    'b64 false, and crit is silent': [`${silent}.${encoded(claims)}.${encoded(maker.sign(`${silent}.${claims}`))}`],
    'two parts, and four': [`${head}.${body}`, `${whole}.`, `${whole}.${end}`, `.${whole}`],
    'JSON serialisation': [json(flat), json({ payload: body, signatures: [{ protected: head, signature: end }] })],
    encrypted: [encrypted],
    'a token in a token': [maker.token({ header: { cty: 'JWT' }, claims: whole })],
    'an encrypted token in a token': [maker.token({ header: { cty: 'JWT' }, claims: encrypted })],
    'compressed claims': [maker.token({ header: { zip: 'DEF' }, claims: deflateRawSync(claims) })],
    'claims that are a list, a text, nothing': [`[${claims}]`, json(claims), 'null', ''].map((text) => maker.token({ claims: text })),
    'claims and something after them': ['{}', '\0', ','].map((text) => maker.token({ claims: claims + text })),
    'claims that are not UTF-8': [[0x61, 0xff], [0xed, 0xa0, 0x80], '\\ud800'].map((to) => maker.token({ claims: bytes('alice', to) })),
    'claims with a byte order mark': [maker.token({ claims: `\ufeff${claims}` })],
    'a member twice in the header': [
      maker.raw(`{"alg":"none",${json(maker.head()).slice(1)}`, claims),
      maker.raw(`${json(maker.head()).slice(0, -1)},"kid":"es256"}`, claims),
    ],
    'a member twice in the claims': [more('"sub":"root"'), maker.token({ claims: `{"aud":"x",${claims.slice(1)}` })],
    'a member twice, once escaped': ['\\u0073ub', 's\\u0075b', 'is\\u0073'].map((name) => more(`"${name}":"root"`)),
    'a member of the header twice, once escaped': [maker.raw(`${json(maker.head()).slice(0, -1)},"\\u0061lg":"none"}`, claims)],
    'a member twice, deep inside': [more('"a":[{"b":{"c":1,"\\u0063":2}}]')],
    'claims as deep as a well': [17, 200, 1500].map((deep) => more(`"a":${'['.repeat(deep)}${']'.repeat(deep)}`)),
    'the alphabet of plain base64': [start + signature.replaceAll('-', '+').replaceAll('_', '/')],
    'base64 with padding': [maker.raw(maker.head(), claims, { parts: (part) => `${padded(part, 1)}==` })],
    'left-over bits in the header': [maker.raw(maker.head(), claims, { parts: (part) => leftOver(padded(part, 1)) })],
    'left-over bits in the claims': [
      maker.raw(maker.head(), claims, { parts: (part) => (part.includes('"alg"') ? encoded(part) : leftOver(padded(part, 1))) })],
    'left-over bits in the signature': [maker.raw(maker.head(), claims, { ends: (made) => leftOver(encoded(made)) })],
    'whitespace between the parts': [whole.replace('.', ' .'), whole.replace('.', '\t.'), `${head.slice(0, 9)} ${whole.slice(9)}`],
    'whitespace in the signature': [`${whole.slice(0, -3)} ${whole.slice(-3)}`, `${head}.${body}. ${end}`],
    'nine KiB': [more(`"more":"${'x'.repeat(9000)}"`)],
  };
}

async function meanings(maker) {
  const claim = (claims) => maker.token({ claims });
  const typed = (typ) => maker.token({ header: { typ } });
  const ends = (end) => maker.token({ claims: json(maker.claims({ exp: 1234567 })).replace('1234567', end) });
  const at = now();
  return {
    'an id token': [typed('JWT')],
    'other kinds of token': [
      'dpop+jwt', 'logout+jwt', 'token-introspection+jwt', 'secevent+jwt', 'at+jwt ', 'application/application/at+jwt',
    ].map(typed),
    'no typ': [typed(undefined)],
    'a typ that is no text': [typed(['at+jwt'])],
    'run out': [claim({ iat: at - 900, exp: at - 300 }), claim({ iat: at - 900, exp: at - 31 })],
    'no end': [claim({ exp: undefined })],
    'an end that is a text': [claim({ exp: `${at + 300}` })],
    'an end that is negative': ['-1', '-0.5e9'].map(ends),
    'an end that is null': ['null', 'true', '[]'].map(ends),
    'an end at the end of time': ['1e300', '18446744073709551616'].map(ends),
    'an end beyond all numbers': ['1e400', 'NaN', 'Infinity'].map(ends),
    'an end before its beginning': [claim({ iat: at + 10, exp: at + 5 })],
    'no beginning': [claim({ iat: undefined })],
    'a beginning that is a text': [claim({ iat: `${at}` })],
    'made in the future': [claim({ iat: at + 300, exp: at + 600 })],
    'not valid yet': [claim({ nbf: at + 300 })],
    'a not-before that is no number': [claim({ nbf: 'now' })],
    'valid for longer than a day': [claim({ exp: at + 90_000 }), claim({ iat: 0, exp: at + 300 })],
  };
}

async function persons(maker) {
  const claim = (claims) => maker.token({ claims });
  const meant = (aud) => claim({ aud });
  return {
    'another audience': [meant('https://other.example')],
    'a list of audiences without us': [meant(['https://other.example', 'https://gateway.grid'])],
    'an empty list of audiences': [meant([])],
    'our audience with a slash, in capitals, in look-alike letters': [
      `${AUDIENCE}/`, AUDIENCE.toUpperCase(), AUDIENCE.replace('a', '\u0430'), `${AUDIENCE} `].map(meant),
    'no audience': [meant(undefined)],
    'an audience that is a number': [meant(7), meant({ aud: AUDIENCE })],
    'a list of audiences with a number': [meant([AUDIENCE, 7]), meant([[AUDIENCE]])],
    'the issuer with a slash': [claim({ iss: `${ISSUER}/` })],
    'the issuer in capitals': [claim({ iss: ISSUER.toUpperCase() }), claim({ iss: ISSUER.replace('jose', 'JOSE') })],
    'the issuer in look-alike letters': [claim({ iss: ISSUER.replace('e', '\u0435') }), claim({ iss: `${ISSUER}\u200b` })],
    'an issuer that is a list': [claim({ iss: [ISSUER] }), claim({ iss: undefined })],
    'no subject': [claim({ sub: undefined })],
    'an empty subject': [claim({ sub: '' })],
    'a subject that is a number': [claim({ sub: 0 }), claim({ sub: ['alice'] })],
    'a subject of 300 bytes': [claim({ sub: 'a'.repeat(300) })],
    'a subject of ten kB': [claim({ sub: 'a'.repeat(10_000) })],
    'a subject with control characters': [claim({ sub: 'alice\nroot' }), claim({ sub: 'alice\0' })],
    'no client': [claim({ client_id: undefined })],
    'scopes that are no text': [claim({ scope: { a2a: '*' } }), claim({ scope: ['a2a:*:*', 1] })],
    'bound to a certificate that is not shown': [claim({ cnf: { 'x5t#S256': encoded(randomBytes(32)) } })],
    'bound to what is no certificate': ['x', '', encoded(randomBytes(31)), encoded(randomBytes(33))].map((digest) =>
      claim({ cnf: { 'x5t#S256': digest } })),
    'bound to a key, or to nothing': [
      {}, { jkt: 'x' }, { jwk: {} }, { kid: 'es256' }, [], { 'x5t#S256': encoded(randomBytes(32)), jkt: 'x' },
    ].map((cnf) => claim({ cnf })),
  };
}

export async function hostile(maker) {
  const made = [algorithms, keys, signatures, forms, meanings, persons].map((kinds) => kinds(maker));
  return Object.assign({}, ...(await Promise.all(made)));
}
