"""Those who are told, as foreign libraries play them: a mail server (PyPI aiosmtpd), a webhook's receiver (PyPI standardwebhooks) and a
push service with one browser (PyPI http-ece decrypts, PyPI py-vapid looks at who writes).

Input is a JSON document on standard input: {cert, key, secret, password}. The first line of output is JSON: the ports, and what the
browser subscribes with. `GET /report` at the HTTP port says everything that came; `POST /gone` makes the push service forget the browser.
"""

import base64
import json
import os
import socket
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import http_ece
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

GIVEN = json.loads(sys.stdin.readline())
REPORT = {"letters": {}, "hooks": [], "pushes": []}
LOCK = threading.Lock()
GONE = threading.Event()


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Letters:
    """Takes letters for those that it knows, as they are."""

    def __init__(self, name: str) -> None:
        self.letters = REPORT["letters"].setdefault(name, [])

    async def handle_DATA(self, server, session, envelope):
        secured = server.transport.get_extra_info("ssl_object")
        tls = secured.version() if secured else None
        letter = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": envelope.content.decode(), "tls": tls}
        with LOCK:
            self.letters.append(letter)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    good = mechanism in ("LOGIN", "PLAIN") and data.login == b"gate" and data.password.decode() == GIVEN["password"]
    return AuthResult(success=good)


def mail_server(name: str, version: ssl.TLSVersion) -> int:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(GIVEN["cert"], GIVEN["key"])
    context.minimum_version = context.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    controller = Controller(
        Letters(name), hostname="127.0.0.1", port=port, ssl_context=context, authenticator=authenticate, auth_required=True,
        auth_require_tls=False,
    )
    controller.start()
    return port


BROWSER = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
AUTH = os.urandom(16)


def decrypted(message: bytes, key) -> str | None:
    try:
        return http_ece.decrypt(message, private_key=key, auth_secret=AUTH, version="aes128gcm").decode()
    except Exception:
        return None


def push(headers, body: bytes) -> dict:
    authorization = headers["authorization"]
    claims = json.loads(base64.urlsafe_b64decode(authorization.split(" t=")[1].split(".")[1] + "=="))
    forged = authorization.replace("t=ey", "t=eY", 1)
    return {
        "said": decrypted(body, BROWSER), "stranger": decrypted(body, STRANGER), "length": len(body),
        "vapid": bool(Vapid02.verify(authorization)), "forged": bool(verified(forged)), "claims": claims,
        "headers": {name.lower(): value for name, value in headers.items()},
    }


def verified(authorization: str) -> bool:
    try:
        return bool(Vapid02.verify(authorization))
    except Exception:
        return False


def hook(headers, body: bytes) -> dict:
    def holds(secret: str, said: bytes) -> bool:
        try:
            Webhook(secret).verify(said, {name.lower(): value for name, value in headers.items()})
        except WebhookVerificationError:
            return False
        return True

    other = "whsec_" + base64.b64encode(os.urandom(32)).decode()
    return {
        "said": json.loads(body), "holds": holds(GIVEN["secret"], body), "changed": holds(GIVEN["secret"], body + b" "),
        "other": holds(other, body),
    }


class Web(BaseHTTPRequestHandler):
    def log_message(self, *words) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        with LOCK:
            self._answer(200, json.dumps(REPORT).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/gone":
            GONE.set()
            return self._answer(204)
        if self.path == "/hook":
            with LOCK:
                REPORT["hooks"].append(hook(self.headers, body))
            return self._answer(204)
        if GONE.is_set():
            return self._answer(410)
        with LOCK:
            REPORT["pushes"].append(push(self.headers, body))
        self._answer(201)


web = ThreadingHTTPServer(("127.0.0.1", 0), Web)
ports = {"tls13": mail_server("tls13", ssl.TLSVersion.TLSv1_3), "tls12": mail_server("tls12", ssl.TLSVersion.TLSv1_2)}
point = BROWSER.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
subscription = {"endpoint": f"http://127.0.0.1:{web.server_address[1]}/push", "p256dh": text(point), "auth": text(AUTH)}
print(json.dumps({"web": web.server_address[1], **ports, "subscription": subscription}), flush=True)
web.serve_forever()
