"""A name server on 127.0.0.1 that speaks DNS over UDP: it answers, denies, fails or says nothing, as told."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

HANGS = "hangs"
FAILS = "fails"
WALLED = "walled"  # denied without proof, as a resolver without a network does


class NameServer:
    """records: what is known of a name, `{name: {type: [texts]}}`, or HANGS, or FAILS. asked: how often of each."""

    def __init__(self, records: Mapping[str, Mapping[str, list[str]] | str]) -> None:
        self._records = records
        self.asked: Counter[str] = Counter()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"

    def serve(self) -> None:
        """Until an empty packet comes."""
        while True:
            packet, sender = self.socket.recvfrom(4096)
            if not packet:
                return
            reply = self._reply(packet)
            if reply is not None:
                self.socket.sendto(reply.to_wire(), sender)

    def _reply(self, packet: bytes) -> dns.message.Message | None:
        query = dns.message.from_wire(packet)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        self.asked[name] += 1
        known = self._records.get(name)
        reply = dns.message.make_response(query, recursion_available=True)
        if known == HANGS:
            return None
        if known == FAILS:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif known in (None, WALLED):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif not isinstance(known, str):
            kind = dns.rdatatype.to_text(question.rdtype)
            if texts := known.get(kind):
                reply.answer.append(dns.rrset.from_text(question.name, 300, "IN", kind, *texts))
        if not reply.answer and known not in (FAILS, WALLED):  # RFC 2308: a denial brings the zone's SOA
            soa = "a.servers.example. root.servers.example. 1 3600 600 86400 300"
            reply.authority.append(dns.rrset.from_text("net.", 300, "IN", "SOA", soa))
        return reply


@contextmanager
def name_server(records: Mapping[str, Mapping[str, list[str]] | str]) -> Iterator[NameServer]:
    """A name server with these records, in a thread of its own."""
    server = NameServer(records)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", server.socket.getsockname())
        thread.join(5)
        server.socket.close()
