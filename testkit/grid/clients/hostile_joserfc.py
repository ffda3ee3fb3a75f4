"""The tokens that PyPI joserfc makes for the gateway to judge, by their kinds (`../hostile.py`)."""

import base64
import hashlib
import hmac
import json
import time
import zlib
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey, RSAKey
from maker_joserfc import AUDIENCE, ISSUER, Maker, decoded, encoded, left_over

ORDER = 2**252 + 27742317777372353535851937790883648493


def good(maker: Maker) -> dict[str, str]:
    named = {"ES256": "es256", "ES384": "es384", "EdDSA": "eddsa", "PS256": "rsa", "RS256": "rsa"}
    tokens = {algorithm: maker.token(algorithm, kid) for algorithm, kid in named.items()}
    return tokens | {
        "several audiences": maker.token(aud=["https://other.example", AUDIENCE]),
        "typ in full": maker.token(header={"typ": "application/at+jwt"}),
        "typ in capitals": maker.token(header={"typ": "AT+JWT"}),
        "a fraction of a second": maker.token(exp=time.time() + 200.5),
        "no kid, and one key fits": maker.token("EdDSA", "eddsa", header={"kid": None}),
        "blanks in the JSON": maker.raw(json.dumps(maker.head(), indent=2), json.dumps(maker.claims(), indent=8)),
        "members that nobody knows": maker.token(header={"b": [1]}, more={"a": [1, {"b": None}], "name": "Ål 月"}),
    }


def mac(maker: Maker, secret: bytes) -> str:
    """A token that is called HS256, with this for a secret."""
    signed = f"{encoded(json.dumps(maker.head(alg='HS256', kid='rsa')).encode())}.{encoded(json.dumps(maker.claims()).encode())}"
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def unsigned(maker: Maker, header: dict) -> str:
    return f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(maker.claims()).encode())}."


def certificate(key: ECKey) -> bytes:
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp.grid.example")]), datetime.now(timezone.utc)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key).serial_number(7)
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9))
    return made.sign(key.private_key, hashes.SHA256()).public_bytes(Encoding.DER)


def algorithms(maker: Maker) -> dict[str, list[str]]:
    public = maker.keys["rsa"]
    jwk = maker.published["rsa"]
    return {
        "alg none": [unsigned(maker, maker.head(alg="none"))],
        "alg none in odd spellings": [unsigned(maker, maker.head(alg=one)) for one in ("None", "NONE", "nOnE", "none ", "")],
        "no alg": [maker.raw(maker.head(alg=None), maker.claims())],
        "an alg that is a list": [maker.raw(maker.head(alg=["ES256"]), maker.claims())],
        "an alg of look-alike letters": [maker.raw(maker.head(alg=one), maker.claims()) for one in ("\u0415S256", "ES\uff1256", "es256")],
        "HS256 with a secret of its own": [maker.token("HS256", key=OctKey.generate_key(256))],
        "HS256 with the public key as PEM": [
            mac(maker, public.as_pem(private=False)), mac(maker, public.as_pem(private=False).rstrip(b"\n"))],
        "HS256 with the public key as DER": [mac(maker, public.as_der(private=False))],
        "HS256 with the public key as JWK": [
            mac(maker, json.dumps(jwk).encode()), mac(maker, json.dumps(jwk, separators=(",", ":")).encode())],
        "true signatures of algorithms that are not accepted": [
            maker.token("ES512", "es512"), maker.token("RS512", "rsa"), maker.token("PS384", "rsa"),
            maker.token("HS512", key=OctKey.generate_key(512))],
        "ES256K": [maker.token("ES256K", "es256k")],
        "an RS256 signature that is called PS256": [
            maker.raw(maker.head(alg="PS256", kid="rsa"), maker.claims(), "RS256", public)],
        "a PS256 signature that is called RS256": [
            maker.raw(maker.head(alg="RS256", kid="rsa"), maker.claims(), "PS256", public)],
    }


def keys(maker: Maker) -> dict[str, list[str]]:
    fresh = ECKey.generate_key("P-256", {"kid": "theirs"})
    own = fresh.as_dict(private=False)
    x5c = [base64.b64encode(certificate(fresh)).decode()]
    return {
        "the key of another algorithm": [maker.token(header={"kid": "rsa"}), maker.token(header={"kid": "es384"})],
        "an RSA key of 1024 bits": [maker.token("RS256", "small"), maker.token("PS256", "small")],
        "a key for encryption": [maker.token("ES256", "enc")],
        "a key that is not for verifying": [maker.token("ES256", "derive")],
        "a key on a curve that is not accepted": [maker.token("EdDSA", "ed448")],
        "another key under a known id": [
            maker.token(key=fresh), maker.token("RS256", "rsa", key=RSAKey.generate_key(2048))],
        "no kid, and several keys fit": [maker.token("ES384", "es384", header={"kid": None})],
        "a kid that is a number": [maker.raw(maker.head(kid=7), maker.claims())],
        "an empty kid": [maker.token(header={"kid": ""})],
        "a kid that is a path": [maker.token(header={"kid": one}) for one in ("../../../../dev/null", "/etc/passwd", "es256\0")],
        "a kid that is SQL": [maker.token(header={"kid": "' OR '1'='1"}), maker.token(header={"kid": "es256'--"})],
        "a kid that is a URL": [maker.token(key=fresh, header={"kid": f"{maker.canary}/jwks.json"})],
        "another issuer's key under its own kid": [
            maker.token("ES256", "of-joserfc", iss="https://jose.grid.example")],
        "a key of its own in jwk": [maker.token(key=fresh, header={"jwk": own})],
        "a certificate of its own in x5c": [maker.token(key=fresh, header={"x5c": x5c})],
        "keys of its own at jku": [maker.token(key=fresh, header={"jku": f"{maker.canary}/jwks.json"})],
        "a certificate of its own at x5u": [maker.token(key=fresh, header={"x5u": f"{maker.canary}/chain.pem"})],
        "keys of its own at jku, and their kid": [
            maker.token(key=fresh, header={"kid": "theirs", "jku": f"{maker.canary}/jwks.json"})],
    }


def signatures(maker: Maker) -> dict[str, list[str]]:
    def ended(change, algorithm="ES256", kid="es256") -> str:
        return maker.raw(maker.head(alg=algorithm, kid=kid), maker.claims(), algorithm, maker.keys[kid],
                         ends=lambda signature: encoded(change(signature)))

    def der(signature: bytes) -> bytes:
        half = len(signature) // 2
        return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))

    def shifted(signature: bytes) -> bytes:
        return signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")

    one, other = maker.token(), maker.token(sub="root")
    return {
        "no signature": [ended(lambda _: b""), ended(lambda _: b"", "EdDSA", "eddsa"), ended(lambda _: b"", "PS256", "rsa")],
        "an ECDSA signature of zeros": [
            ended(lambda _: bytes(64)), ended(lambda _: bytes(96), "ES384", "es384"), ended(lambda _: bytes(8))],
        "an ECDSA signature in DER": [ended(der), ended(der, "ES384", "es384")],
        "a signature that is cut short": [ended(lambda signature: signature[:-1]), ended(lambda signature: signature[:32])],
        "a signature with zeros about it": [
            ended(lambda signature: signature + b"\0"), ended(lambda signature: b"\0" + signature),
            ended(lambda signature: b"\0" + signature[:32] + b"\0" + signature[32:]),
            ended(lambda signature: b"\0" + signature, "RS256", "rsa")],
        "a signature with a bit changed": [
            ended(lambda signature: signature[:-1] + bytes([signature[-1] ^ 1]), *of)
            for of in (("ES256", "es256"), ("EdDSA", "eddsa"), ("RS256", "rsa"), ("PS256", "rsa"))],
        "an Ed25519 signature with the order of the group added": [ended(shifted, "EdDSA", "eddsa")],
        "another token's signature": [f"{one.rsplit('.', 1)[0]}.{other.rsplit('.', 1)[1]}",
                                      ".".join([one.split(".")[0], other.split(".")[1], one.split(".")[2]])],
    }


def forms(maker: Maker) -> dict[str, list[str]]:
    whole, claims = maker.token(), json.dumps(maker.claims())
    head, body, end = whole.split(".")
    plain = f"{encoded(json.dumps(maker.head(b64=False)).encode())}.{claims}".encode()
    silent = encoded(maker.sign(plain))
    secret = OctKey.generate_key(256)
    encrypted = jwe.encrypt_compact({"alg": "dir", "enc": "A128CBC-HS256", "cty": "JWT"}, whole.encode(), secret)
    twice = claims[:-1] + ', "sub": "root"}'

    def long(part: bytes) -> str:
        return left_over(encoded(part + b" " * (-(len(part) - 1) % 3)))

    def clear(part: bytes) -> str:
        return encoded(part + b" " * (-len(part) % 3))

    def plus() -> str:
        """A token whose signature has letters of its own in both alphabets."""
        made = next(one for one in iter(maker.token, None) if set("-_") & set(one.rsplit(".", 1)[1]))
        start, signature = made.rsplit(".", 1)
        return f"{start}.{signature.replace('-', '+').replace('_', '/')}"

    return {
        "crit with an unknown name": [
            maker.raw(maker.head(crit=["exp"], exp=9), maker.claims()), maker.raw(maker.head(crit=["urn:x"]), maker.claims())],
        "crit that is empty": [maker.raw(maker.head(crit=[]), maker.claims()), maker.raw(maker.head(crit="b64"), maker.claims())],
        "b64 false, as crit says": [maker.raw(maker.head(b64=False, crit=["b64"]), maker.claims())],
        "b64 false, and crit is silent": [f"{plain.split(b'.')[0].decode()}.{encoded(claims.encode())}.{silent}"],
        "two parts, and four": [f"{head}.{body}", f"{whole}.", f"{whole}.{end}", f".{whole}"],
        "JSON serialisation": [json.dumps({"payload": body, "protected": head, "signature": end}),
                               json.dumps({"payload": body, "signatures": [{"protected": head, "signature": end}]})],
        "encrypted": [encrypted],
        "a token in a token": [maker.raw(maker.head(cty="JWT"), whole)],
        "an encrypted token in a token": [maker.raw(maker.head(cty="JWT"), encrypted)],
        "compressed claims": [maker.raw(maker.head(zip="DEF"), zlib.compress(claims.encode(), wbits=-15))],
        "claims that are a list, a text, nothing": [
            maker.raw(maker.head(), one) for one in (f"[{claims}]", json.dumps(claims), "null", "")],
        "claims and something after them": [maker.raw(maker.head(), claims + more) for more in ("{}", "\0", ",")],
        "claims that are not UTF-8": [
            maker.raw(maker.head(), claims.encode().replace(b"alice", one)) for one in (b"alic\xff", b"\xed\xa0\x80", b"\\ud800")],
        "claims with a byte order mark": [maker.raw(maker.head(), "\ufeff" + claims)],
        "a member twice in the header": [
            maker.raw('{"alg": "none", ' + json.dumps(maker.head())[1:], claims),
            maker.raw(json.dumps(maker.head())[:-1] + ', "kid": "es256"}', claims)],
        "a member twice in the claims": [maker.raw(maker.head(), twice), maker.raw(maker.head(), '{"aud": "x", ' + claims[1:])],
        "a member twice, once escaped": [
            maker.raw(maker.head(), claims[:-1] + f', "{name}": "root"}}') for name in ("\\u0073ub", "s\\u0075b", "is\\u0073")],
        "a member of the header twice, once escaped": [
            maker.raw(json.dumps(maker.head())[:-1] + ', "\\u0061lg": "none"}', claims)],
        "a member twice, deep inside": [maker.raw(maker.head(), claims[:-1] + ', "a": [{"b": {"c": 1, "\\u0063": 2}}]}')],
        "claims as deep as a well": [
            maker.raw(maker.head(), claims[:-1] + f', "a": {"[" * deep}{"]" * deep}}}') for deep in (17, 200, 1500)],
        "the alphabet of plain base64": [plus()],
        "base64 with padding": [maker.raw(maker.head(), claims, parts=lambda part: encoded(part + b" " * (-(len(part) - 1) % 3)) + "==")],
        "left-over bits in the header": [maker.raw(maker.head(), claims, parts=long)],
        "left-over bits in the claims": [
            maker.raw(maker.head(), claims, parts=lambda part: clear(part) if b'"alg"' in part else long(part))],
        "left-over bits in the signature": [maker.raw(maker.head(), claims, ends=lambda signature: left_over(encoded(signature)))],
        "whitespace between the parts": [whole.replace(".", " .", 1), whole.replace(".", "\t.", 1), f"{head[:9]} {whole[9:]}"],
        "whitespace in the signature": [f"{whole[:-3]} {whole[-3:]}", f"{head}.{body}. {end}"],
        "nine KiB": [maker.token(more="x" * 9000)],
    }


def meanings(maker: Maker) -> dict[str, list[str]]:
    now = int(time.time())
    claims = json.dumps(maker.claims(exp=1234567))

    def with_end(end: str) -> str:
        return maker.raw(maker.head(), claims.replace("1234567", end))

    return {
        "an id token": [maker.token(header={"typ": "JWT"})],
        "other kinds of token": [
            maker.token(header={"typ": one})
            for one in ("dpop+jwt", "logout+jwt", "token-introspection+jwt", "secevent+jwt", "at+jwt ", "application/application/at+jwt")],
        "no typ": [maker.raw(maker.head(typ=None), maker.claims())],
        "a typ that is no text": [maker.raw(maker.head(typ=["at+jwt"]), maker.claims())],
        "run out": [maker.token(iat=now - 900, exp=now - 300), maker.token(iat=now - 900, exp=now - 31)],
        "no end": [maker.token(exp=None)],
        "an end that is a text": [maker.raw(maker.head(), maker.claims(exp=str(now + 300)))],
        "an end that is negative": [with_end("-1"), with_end("-0.5e9")],
        "an end that is null": [with_end("null"), with_end("true"), with_end("[]")],
        "an end at the end of time": [with_end("1e300"), with_end("18446744073709551616")],
        "an end beyond all numbers": [with_end("1e400"), with_end("NaN"), with_end("Infinity")],
        "an end before its beginning": [maker.token(iat=now + 10, exp=now + 5)],
        "no beginning": [maker.token(iat=None)],
        "a beginning that is a text": [maker.raw(maker.head(), maker.claims(iat=str(now)))],
        "made in the future": [maker.token(iat=now + 300, exp=now + 600)],
        "not valid yet": [maker.token(nbf=now + 300)],
        "a not-before that is no number": [maker.raw(maker.head(), maker.claims(nbf="now"))],
        "valid for longer than a day": [maker.token(exp=now + 90_000), maker.token(iat=0, exp=now + 300)],
    }


def persons(maker: Maker) -> dict[str, list[str]]:
    def meant(aud: object) -> str:
        return maker.raw(maker.head(), maker.claims(aud=aud))

    return {
        "another audience": [meant("https://other.example")],
        "a list of audiences without us": [meant(["https://other.example", "https://gateway.grid"])],
        "an empty list of audiences": [meant([])],
        "our audience with a slash, in capitals, in look-alike letters": [
            meant(AUDIENCE + "/"), meant(AUDIENCE.upper()), meant(AUDIENCE.replace("a", "\u0430")), meant(f"{AUDIENCE} ")],
        "no audience": [meant(None)],
        "an audience that is a number": [meant(7), meant({"aud": AUDIENCE})],
        "a list of audiences with a number": [meant([AUDIENCE, 7]), meant([[AUDIENCE]])],
        "the issuer with a slash": [maker.token(iss=ISSUER + "/")],
        "the issuer in capitals": [maker.token(iss=ISSUER.upper()), maker.token(iss=ISSUER.replace("idp", "IDP"))],
        "the issuer in look-alike letters": [maker.token(iss=ISSUER.replace("e", "\u0435")), maker.token(iss=ISSUER + "\u200b")],
        "an issuer that is a list": [maker.raw(maker.head(), maker.claims(iss=[ISSUER])), maker.raw(maker.head(), maker.claims(iss=None))],
        "no subject": [maker.token(sub=None)],
        "an empty subject": [maker.token(sub="")],
        "a subject that is a number": [maker.raw(maker.head(), maker.claims(sub=0)), maker.raw(maker.head(), maker.claims(sub=["alice"]))],
        "a subject of 300 bytes": [maker.token(sub="a" * 300)],
        "a subject of ten kB": [maker.token(sub="a" * 10_000)],
        "a subject with control characters": [maker.token(sub="alice\nroot"), maker.token(sub="alice\0")],
        "no client": [maker.token(client_id=None)],
        "scopes that are no text": [maker.token(scope={"a2a": "*"}), maker.token(scope=["a2a:*:*", 1])],
        "bound to a certificate that is not shown": [maker.token(cnf={"x5t#S256": encoded(bytes(range(32)))})],
        "bound to what is no certificate": [
            maker.token(cnf={"x5t#S256": one}) for one in ("x", "", encoded(bytes(31)), encoded(bytes(33)))],
        "bound to a key, or to nothing": [
            maker.token(cnf=one)
            for one in ({}, {"jkt": "x"}, {"jwk": {}}, {"kid": "es256"}, [], {"x5t#S256": encoded(bytes(32)), "jkt": "x"})],
    }


def hostile(maker: Maker) -> dict[str, list[str]]:
    return algorithms(maker) | keys(maker) | signatures(maker) | forms(maker) | meanings(maker) | persons(maker)
