"""Kinds of hostile tokens: who makes them, and why the gateway must refuse each.

Two makers that know nothing of each other, PyPI joserfc and npm jose, each with keys and an issuer of its own. Both make every kind,
unless their library cannot (`ALONE`). The reason is a piece of what the gateway says, so that a token which is refused for another
reason than the one it was made for is red.
"""

ALGORITHM = "has an algorithm that is not accepted"
UNPUBLISHED = "is signed with a key that its issuer does not publish"
BROKEN = "has a signature that does not hold"
HEADER = "has a header that is no plain JSON object"
CLAIMS = "has claims that are no plain JSON object"
FORM = "is not one that this gateway gave or knows how to read"
DEMANDS = "demands what this gateway does not know (crit)"
ELSEWHERE = "is meant for somebody else (aud)"
STRANGER = "is of an issuer that is not accepted"
TYPE = "is no access token (typ is not at+jwt)"
LONG = "is too long"
NOBODY = "names nobody (sub)"
END = "has no end (exp)"

KINDS = {
    # The algorithm.
    "alg none": ALGORITHM,
    "alg none in odd spellings": ALGORITHM,
    "no alg": ALGORITHM,
    "an alg that is a list": ALGORITHM,
    "an alg of look-alike letters": ALGORITHM,
    "HS256 with a secret of its own": ALGORITHM,
    "HS256 with the public key as PEM": ALGORITHM,
    "HS256 with the public key as DER": ALGORITHM,
    "HS256 with the public key as JWK": ALGORITHM,
    "true signatures of algorithms that are not accepted": ALGORITHM,
    "ES256K": ALGORITHM,
    "an RS256 signature that is called PS256": BROKEN,
    "a PS256 signature that is called RS256": BROKEN,
    # The key.
    "the key of another algorithm": UNPUBLISHED,
    "an RSA key of 1024 bits": UNPUBLISHED,
    "a key for encryption": UNPUBLISHED,
    "a key that is not for verifying": UNPUBLISHED,
    "a key on a curve that is not accepted": UNPUBLISHED,
    "another key under a known id": BROKEN,
    "no kid, and several keys fit": UNPUBLISHED,
    "a kid that is a number": "names its key by something that is no text",
    "an empty kid": "names its key by something that is no text",
    "a kid that is a path": UNPUBLISHED,
    "a kid that is SQL": UNPUBLISHED,
    "a kid that is a URL": UNPUBLISHED,
    "another issuer's key under its own kid": UNPUBLISHED,
    "a key of its own in jwk": BROKEN,
    "a certificate of its own in x5c": BROKEN,
    "keys of its own at jku": BROKEN,
    "a certificate of its own at x5u": BROKEN,
    "keys of its own at jku, and their kid": UNPUBLISHED,
    # The signature.
    "no signature": BROKEN,
    "an ECDSA signature of zeros": BROKEN,
    "an ECDSA signature in DER": BROKEN,
    "a signature that is cut short": BROKEN,
    "a signature with zeros about it": BROKEN,
    "a signature with a bit changed": BROKEN,
    "an Ed25519 signature with the order of the group added": BROKEN,
    "another token's signature": BROKEN,
    # The form.
    "crit with an unknown name": DEMANDS,
    "crit that is empty": DEMANDS,
    "b64 false, as crit says": DEMANDS,
    "b64 false, and crit is silent": BROKEN,
    "two parts, and four": FORM,
    "JSON serialisation": FORM,
    "encrypted": FORM,
    "a token in a token": CLAIMS,
    "an encrypted token in a token": CLAIMS,
    "compressed claims": CLAIMS,
    "claims that are a list, a text, nothing": CLAIMS,
    "claims and something after them": CLAIMS,
    "claims that are not UTF-8": CLAIMS,
    "claims with a byte order mark": CLAIMS,
    "a member twice in the header": HEADER,
    "a member twice in the claims": CLAIMS,
    "a member twice, once escaped": CLAIMS,
    "a member of the header twice, once escaped": HEADER,
    "a member twice, deep inside": CLAIMS,
    "claims as deep as a well": CLAIMS,
    "the alphabet of plain base64": BROKEN,
    "base64 with padding": HEADER,
    "left-over bits in the header": HEADER,
    "left-over bits in the claims": CLAIMS,
    "left-over bits in the signature": BROKEN,
    "whitespace between the parts": HEADER,
    "whitespace in the signature": BROKEN,
    "nine KiB": LONG,
    # The type.
    "an id token": TYPE,
    "other kinds of token": TYPE,
    "no typ": "has no type (typ)",
    "a typ that is no text": "has no type (typ)",
    # The times.
    "run out": "has run out",
    "no end": END,
    "an end that is a text": END,
    "an end that is negative": END,
    "an end that is null": END,
    "an end at the end of time": "has no end (exp)",
    "an end beyond all numbers": CLAIMS,
    "an end before its beginning": "is valid for longer than 24 hours",
    "no beginning": "has no beginning (iat)",
    "a beginning that is a text": "has no beginning (iat)",
    "made in the future": "is not valid yet",
    "not valid yet": "is not valid yet",
    "a not-before that is no number": "has a beginning that is no number (nbf)",
    "valid for longer than a day": "is valid for longer than 24 hours",
    # Whose it is, and for whom.
    "another audience": ELSEWHERE,
    "a list of audiences without us": ELSEWHERE,
    "an empty list of audiences": ELSEWHERE,
    "our audience with a slash, in capitals, in look-alike letters": ELSEWHERE,
    "no audience": "has no audience (aud)",
    "an audience that is a number": "has no audience (aud)",
    "a list of audiences with a number": "has an audience that is no text (aud)",
    "the issuer with a slash": STRANGER,
    "the issuer in capitals": STRANGER,
    "the issuer in look-alike letters": STRANGER,
    "an issuer that is a list": "has no issuer (iss)",
    "no subject": NOBODY,
    "an empty subject": NOBODY,
    "a subject that is a number": NOBODY,
    "a subject of 300 bytes": NOBODY,
    "a subject of ten kB": LONG,
    "a subject with control characters": "names somebody in control characters (sub)",
    "no client": "names no client (client_id)",
    "scopes that are no text": "has scopes that are no text (scope)",
    "bound to a certificate that is not shown": "is bound to a client certificate that this connection does not show",
    "bound to what is no certificate": "is bound to what is no certificate (cnf)",
    "bound to a key, or to nothing": "is bound to a key that this gateway cannot check (cnf)",
}
MAKERS = ("joserfc", "jose")
# npm jose has neither secp256k1 nor Ed448, and nothing that makes certificates.
ALONE = dict.fromkeys(
    ("ES256K", "a key on a curve that is not accepted", "a certificate of its own in x5c"), "joserfc"
)
GOOD = (
    "ES256", "ES384", "EdDSA", "PS256", "RS256", "several audiences", "typ in full", "typ in capitals", "a fraction of a second",
    "no kid, and one key fits", "blanks in the JSON", "members that nobody knows",
)


def kinds_of(maker: str) -> set[str]:
    return {kind for kind in KINDS if ALONE.get(kind, maker) == maker}
