"""A small SMTP server that stores what it receives."""

from __future__ import annotations

import email
import email.message
import email.policy
import socketserver
import threading


class MailServer:
    """Serves on the loopback address; `mails` are the received messages."""

    def __init__(self) -> None:
        self.mails: list[email.message.EmailMessage] = []
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _handler(self) -> type[socketserver.StreamRequestHandler]:
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.answer(b"220 ready")
                while line := self.rfile.readline():
                    verb = line[:4].upper()
                    if verb == b"QUIT":
                        self.answer(b"221 bye")
                        return
                    if verb == b"DATA":
                        self.answer(b"354 go on")
                        server.take(self.data())
                    self.answer(b"250 done")

            def answer(self, line: bytes) -> None:
                self.wfile.write(line + b"\r\n")

            def data(self) -> bytes:
                lines = iter(self.rfile.readline, b".\r\n")
                return b"".join(line.removeprefix(b".") for line in lines)

        return Handler

    def take(self, data: bytes) -> None:
        mail = email.message_from_bytes(data, policy=email.policy.default)
        assert isinstance(mail, email.message.EmailMessage)
        self.mails.append(mail)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
