// How npm jose signs: whole tokens as it makes them (odd claims too, byte by byte), and with Node's own crypto what it refuses to
// make: odd headers, odd base64, odd signatures.

import { constants, createPrivateKey, sign } from 'node:crypto';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const load = createRequire(`${process.env.GRID_PACKAGES}/`);
export const jose = await import(pathToFileURL(load.resolve('jose')).href);

export const ISSUER = 'https://jose.grid.example';
export const AUDIENCE = 'https://gateway.grid.example';
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

export const now = () => Math.floor(Date.now() / 1000);
export const encoded = (part) => Buffer.from(part).toString('base64url');
/** A part of a token as it is to stand there. */
const text = (part) => (typeof part === 'string' || part instanceof Uint8Array ? part : JSON.stringify(part));

/** The same bytes, written with bits that mean nothing. */
export function leftOver(part) {
  if (![2, 3].includes(part.length % 4)) throw new Error('no bits are left over');
  return part.slice(0, -1) + LETTERS[LETTERS.indexOf(part.at(-1)) + 1];
}

export class Maker {
  constructor(held, published, canary) {
    this.held = Object.fromEntries(held.map((key) => [key.kid, key]));
    this.published = Object.fromEntries(published.map((key) => [key.kid, key]));
    this.canary = canary;
  }

  /** The claims of a good token with changes; `undefined` leaves a member out. */
  claims(changes = {}) {
    const usual = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', client_id: 'app', iat: now(), exp: now() + 300 };
    return { ...usual, jti: crypto.randomUUID(), scope: 'a2a:*:*', ...changes };
  }

  head(changes = {}) {
    return JSON.parse(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid: 'es256', ...changes }));
  }

  /** As the library makes it. `claims` are changes, or all claims as text or bytes. */
  async token({ alg = 'ES256', kid = 'es256', key = this.held[kid], header = {}, claims = {} } = {}) {
    const whole = typeof claims === 'string' || claims instanceof Uint8Array;
    const bytes = Buffer.from(whole ? claims : JSON.stringify(this.claims(claims)));
    const held = key instanceof Uint8Array ? key : await jose.importJWK({ ...key, key_ops: undefined }, alg);
    return new jose.CompactSign(bytes).setProtectedHeader(this.head({ alg, kid, ...header })).sign(held);
  }

  /** A token of these parts to the byte, with a true signature; `parts` and `ends` write parts and signature. */
  raw(header, claims, { alg = 'ES256', kid = 'es256', key = this.held[kid], parts = encoded, ends = encoded, form } = {}) {
    const signed = `${parts(text(header))}.${parts(text(claims))}`;
    return `${signed}.${ends(this.sign(signed, alg, key, form))}`;
  }

  sign(signed, alg = 'ES256', jwk = this.held.es256, form = 'ieee-p1363') {
    const key = createPrivateKey({ key: jwk, format: 'jwk' });
    const hash = alg === 'EdDSA' ? null : `sha${alg.slice(-3)}`;
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
    return sign(hash, Buffer.from(signed), { key, dsaEncoding: form, ...(alg.startsWith('PS') ? pss : {}) });
  }
}
