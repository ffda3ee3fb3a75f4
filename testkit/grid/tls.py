"""What two TLS scanners make of the main listener: `python3 testkit/grid/tls.py --moongate PATH`.

PyPI sslyze and Debian's testssl look at a gateway with a certificate of its own, and at one that asks its callers for
certificates; openssl tries to go on with a session. TLS 1.3 must be offered, and nothing else: no older version, no
early data, no compression, no resumption where certificates may come. Exit 0: every case ran and passed. 1: something
is red. 2: it could not start.
"""

import json
import subprocess
from pathlib import Path

import driver
import install
from processes import Failed, RunningGateway, stop

ENVIRONMENT = "judges"
SECONDS = 120
# As many cases as there are: one that did not run is red.
CASES = 41
OLD = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2")
SCANS = ("sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "early_data", "compression", "certinfo", "heartbleed")
PEERS = """
[[peers]]
domain = "car.example"
bundle = "car.pem"
scopes = ["a2a:*:*"]
revocation = "off"
"""


def call(*words: object, text: str = "", good: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run([str(word) for word in words], input=text, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode not in good:
        raise Failed(f"`{words[0]}` ended with {done.returncode}:\n{(done.stdout + done.stderr).strip()[-800:]}")
    return done.stdout + done.stderr


def sslyze(port: int, folder: Path) -> dict[str, bool]:
    out = folder / "sslyze.json"
    program = install.TARGET / ENVIRONMENT / "bin" / "python"
    call(program, "-m", "sslyze", f"--json_out={out}", *(f"--{scan}" for scan in SCANS), f"localhost:{port}")
    result = json.loads(out.read_text())["server_scan_results"][0]["scan_result"]
    suites = {version: result[f"{version}_cipher_suites"]["result"]["accepted_cipher_suites"] for version in (*OLD, "tls_1_3")}
    certificate = result["certificate_info"]["result"]["certificate_deployments"]
    cases = {f"sslyze: {version} is refused": not suites[version] for version in OLD}
    return cases | {
        "sslyze: TLS 1.3 is offered": bool(suites["tls_1_3"]),
        "sslyze: no early data": not result["tls_1_3_early_data"]["result"]["supports_early_data"],
        "sslyze: no compression": not result["tls_compression"]["result"]["supports_compression"],
        "sslyze: no heartbleed": not result["heartbleed"]["result"]["is_vulnerable_to_heartbleed"],
        "sslyze: one certificate": len(certificate) == 1,
    }


def testssl(port: int, folder: Path) -> dict[str, bool]:
    out = folder / "testssl.json"
    out.unlink(missing_ok=True)
    words = ("testssl", "--quiet", "--warnings", "off", "--protocols", "--server-defaults", "--jsonfile", out)
    # Its status counts what it would do otherwise; its findings are judged one by one.
    call(*words, "--ip", "127.0.0.1", f"localhost:{port}", good=tuple(range(0, 200)))
    found = {one["id"]: one["finding"] for one in json.loads(out.read_text())}
    cases = {f"testssl: {one} is refused": found[one].startswith("not offered") for one in ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2")}
    return cases | {
        "testssl: TLS 1.3 is offered": found["TLS1_3"].startswith("offered"),
        "testssl: HTTP/2 by ALPN": "h2" in found["ALPN_HTTP2"],
        "testssl: a serial number of 64 random bits": found["cert_serialNumberLen"].startswith(("16", "20")),
        "testssl: the name is in the certificate": found["cert_trust"].startswith("Ok"),
    }


def resumed(port: int, folder: Path) -> bool:
    """Whether openssl goes on with a session."""
    session = folder / "session.pem"
    session.unlink(missing_ok=True)
    ask = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    words = ("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-ign_eof")
    call(*words, "-sess_out", session, text=ask, good=(0, 1))
    if not session.exists():
        return False
    return "Reused, TLSv1.3" in call(*words, "-sess_in", session, text=ask, good=(0, 1))


def older(port: int) -> bool:
    """Whether openssl's own client gets the alert protocol_version for TLS 1.2."""
    told = call("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", good=(0, 1))
    return "alert protocol version" in told


def listener(moongate: Path, folder: Path, more: str) -> dict[str, bool]:
    gateway = RunningGateway(moongate, [], folder, more=more, secure=True)
    try:
        port = gateway.secure_port
        cases = sslyze(port, folder) | testssl(port, folder)
        cases["openssl: TLS 1.2 gets the alert protocol_version"] = older(port)
        if more:
            cases["openssl: no session is resumed where certificates may come"] = not resumed(port, folder)
        return cases
    finally:
        stop(gateway.process)


def run(moongate: Path, folder: Path) -> int:
    key, bundle = folder / "car.key", folder / "car.pem"
    call("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Car CA",
         "-keyout", key, "-out", bundle, "-days", "2")
    cases = []
    for name, more in (("plain", ""), ("asking", PEERS)):
        cases += [(f"{name}: {case}", ok, "") for case, ok in listener(moongate, folder, more).items()]
    return driver.told("TLS as scanners see it", cases, CASES)


if __name__ == "__main__":
    driver.main(
        "tls", "What TLS scanners make of the main listener.", {ENVIRONMENT}, lambda flags, folder: run(flags.moongate, folder)
    )
