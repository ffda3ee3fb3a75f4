"""A DNS server that lies, made with PyPI dnslib: names under `rebind.test` that lead inside in one way or another.

`--rightful ADDRESS` is where an honest name leads, and dishonest ones at times; `--honest` leads every name there. Prints `READY PORT`,
then the name of each question for an IPv4 address, a line each. All answers may be kept for no time at all.
"""

import argparse
import time
from collections import Counter
from ipaddress import ip_address

from dnslib import AAAA, CNAME, QTYPE, RR, A
from dnslib.server import BaseResolver, DNSServer

HERE, SIX, METADATA = "127.0.0.1", "::1", "169.254.169.254"
ZONE = "rebind.test."
LONGEST = 512


def zones(rightful: str) -> dict[str, list[list[str]]]:
    """What each name is answered with, one list of records after another; the last one stays."""
    return {
        "rightful": [[rightful]],
        "inside": [[HERE]],
        "another-inside": [["127.255.255.254"]],
        "metadata": [[METADATA]],
        "mapped": [["::ffff:127.0.0.1"]],
        "mapped-metadata": [["::ffff:169.254.169.254"]],
        "six": [[SIX]],
        "nat64": [["64:ff9b::7f00:1"]],
        "six-to-four": [["2002:7f00:1::"]],
        "zero": [["0.0.0.0"]],
        "zero-six": [["::"]],
        "link": [["fe80::1"]],
        "everybody": [["224.0.0.1"]],
        "alias": [[f"inside.{ZONE}", HERE]],
        "alias-local": [["localhost.", HERE]],
        "alias-far": [[f"alias.{ZONE}", f"inside.{ZONE}", HERE]],
        "many": [[f"127.0.1.{last}" for last in range(1, 60)] + [HERE]],
        # These are rightful at times.
        "later": [[rightful], [HERE]],
        "later-metadata": [[rightful], [METADATA]],
        "later-six": [[rightful], [SIX]],
        "later-mapped": [[rightful], ["::ffff:127.0.0.1"]],
        "later-alias": [[rightful], [f"inside.{ZONE}", HERE]],
        "in-turn": [[rightful], [HERE]] * 500,
        "in-turn-six": [[SIX], [rightful]] * 500,
        "both": [[HERE, rightful]],
        "both-turned": [[rightful, HERE]],
        "both-six": [[SIX, rightful]],
        "both-many": [[f"127.0.1.{last}" for last in range(1, 60)] + [rightful]],
        "both-mapped": [["::ffff:127.0.0.1", METADATA, rightful]],
    }


class Liar(BaseResolver):
    def __init__(self, rightful: str, honest: bool) -> None:
        self.zones, self.rightful, self.honest = zones(rightful), rightful, honest
        self.asked: Counter[str] = Counter()

    def resolve(self, request, handler):
        reply, question = request.reply(), str(request.q.qname).lower()
        label = question.split(".")[0]
        four = request.q.qtype == QTYPE.A
        known = self.zones.get(label)
        if not question.endswith(ZONE) or not known:
            reply.header.rcode = 3
            return reply
        # Questions for IPv6 addresses go with the one for IPv4 that came before.
        turn = self.asked[label] if four else max(self.asked[label] - 1, 0)
        self.asked[label] += four
        name = request.q.qname
        for record in [self.rightful] if self.honest else known[min(turn, len(known) - 1)]:
            if record.endswith("."):
                reply.add_answer(RR(name, QTYPE.CNAME, rdata=CNAME(record), ttl=0))
                name = record
            elif ":" in record and request.q.qtype == QTYPE.AAAA:
                reply.add_answer(RR(name, QTYPE.AAAA, rdata=AAAA(tuple(ip_address(record).packed)), ttl=0))
            elif ":" not in record and four:
                reply.add_answer(RR(name, QTYPE.A, rdata=A(record), ttl=0))
        if handler.protocol == "udp" and len(reply.pack()) > LONGEST:
            # What is too long for a datagram is asked for again over TCP.
            reply = request.reply()
            reply.header.tc = 1
        elif four:
            print(label, flush=True)
        return reply


class Quiet:
    def __getattr__(self, _name):
        return lambda *_: None


def main() -> None:
    parser = argparse.ArgumentParser(description="A DNS server that lies.")
    parser.add_argument("--rightful", required=True)
    parser.add_argument("--honest", action="store_true")
    parser.add_argument("--names", action="store_true", help="only list the names")
    flags = parser.parse_args()
    if flags.names:
        print("\n".join(zones(flags.rightful)))
        return
    liar = Liar(flags.rightful, flags.honest)
    server = DNSServer(liar, address=HERE, port=0, logger=Quiet())
    port = server.server.server_address[1]
    over_tcp = DNSServer(liar, address=HERE, port=port, tcp=True, logger=Quiet())
    over_tcp.start_thread()
    server.start_thread()
    print(f"READY {port}", flush=True)
    while server.isAlive():
        time.sleep(1)


if __name__ == "__main__":
    main()
