"""Clients that write numbered znodes as fast as they are answered, and keep an ephemeral one each."""

from __future__ import annotations

import threading

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NodeExistsError, SessionExpiredError
from kazoo.protocol.states import KazooState

from tests.support.mixed import WAIT_S, end


class Writer:
    """One client. `acknowledged` numbers were written for certain; `expired` says it lost its session."""

    def __init__(self, name: str, hosts: str, timeout_s: float = 10.0) -> None:
        self.client = KazooClient(hosts, timeout=timeout_s, randomize_hosts=True)
        self.client.add_listener(self._listen)
        self.path = f"/load/{name}"
        self.ephemeral = f"/load-{name}"
        self.acknowledged = 0
        self.is_expired = False
        self.unexpected: list[BaseException] = []
        self.client.start(timeout=WAIT_S)
        self.session_id = self.client.client_id[0]
        self.client.ensure_path(self.path)
        self.client.create(self.ephemeral, ephemeral=True)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _listen(self, state: str) -> None:
        if state == KazooState.LOST and not getattr(self, "_stopping", threading.Event()).is_set():
            self.is_expired = True

    def _work(self) -> None:
        number = 0
        is_again = False
        while not self._stopping.is_set():
            try:
                self.client.create_async(f"{self.path}/{number}", b"%d" % number).get(WAIT_S)
            except NodeExistsError as error:
                # Written, and the answer was lost: nobody else writes here.
                if not is_again:
                    self.unexpected.append(error)
            except SessionExpiredError as error:
                self.unexpected.append(error)
                return
            except KazooException:
                # Whether it was written is not known: the same once more.
                is_again = True
                self._stopping.wait(0.02)
                continue
            is_again = False
            number += 1
            self.acknowledged = number

    def finish(self) -> None:
        """Stop writing; the session goes on."""
        self._stopping.set()
        self._thread.join(WAIT_S)

    def assert_kept(self) -> None:
        """Every acknowledged number is there, and the session has been the same all along."""
        assert not self.unexpected
        assert not self.is_expired
        assert self.client.client_id[0] == self.session_id
        self.client.sync("/")
        assert self.client.exists(self.ephemeral).ephemeralOwner == self.session_id
        there = set(self.client.get_children(self.path))
        missing = [number for number in range(self.acknowledged) if str(number) not in there]
        assert not missing

    def close(self) -> None:
        """End the session."""
        end(self.client)
