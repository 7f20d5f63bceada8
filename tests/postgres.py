"""A PostgreSQL server of the tests' own, in a temporary folder and on a free port."""

import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

HOST, USER, PASSWORD = "127.0.0.1", "sweeper", "not-a-secret"

# Without fsync only a crash of the machine loses transactions. Without synchronous_commit an immediate stop would, too.
SETTINGS = """
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
fsync = off
full_page_writes = off
"""


def find_programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian does not have it on the PATH."""
    path = os.pathsep.join([os.environ["PATH"], *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))])
    found = shutil.which("pg_ctl", path=path)
    return Path(found).resolve().parent if found else None


class Server:
    """A server and its files; `url` leads to the newest of its databases."""

    def __init__(self, programs: Path, folder: Path):
        self.programs, self.folder, self.port = programs, folder, _free_port()
        self.data, self.log = folder / "data", folder / "log"
        self.databases = 0
        self.account = {}
        password = folder / "password"
        password.write_text(PASSWORD)
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self.account = {"user": "postgres", "group": "postgres", "extra_groups": []}
            for path in (folder, password):
                shutil.chown(path, "postgres", "postgres")
        options = ["--no-locale", "--encoding=UTF8", "--no-sync", "--auth=scram-sha-256"]
        self._execute("initdb", "-D", self.data, *options, f"--username={USER}", f"--pwfile={password}")
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(SETTINGS.format(host=HOST, port=self.port))

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{USER}:{PASSWORD}@{HOST}:{self.port}/test{self.databases}"

    @property
    def running(self) -> bool:
        return (self.data / "postmaster.pid").exists()

    def start(self):
        """Returns when the server accepts connections."""
        self._execute("pg_ctl", "start", "--wait", "-D", self.data, "-l", self.log)

    def stop(self, mode="immediate"):
        """Ends all connections: `immediate` as in a crash, `fast` as for maintenance."""
        self._execute("pg_ctl", "stop", "--wait", "-D", self.data, "-m", mode)

    def restart(self, mode="immediate"):
        self.stop(mode)
        self.start()

    def create_database(self):
        self.databases += 1
        login = {"host": HOST, "port": self.port, "user": USER, "password": PASSWORD, "dbname": "postgres"}
        with psycopg.connect(**login, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE test{self.databases}")

    def _execute(self, program, *arguments):
        command = [self.programs / program, *arguments]
        # not a pipe, which stays open as long as the server runs
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(command, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT, **self.account)
            output.seek(0)
            log = self.log.read_text() if self.log.exists() else ""
            assert done.returncode == 0, f"{program} failed:\n{output.read()}{log}"


@contextmanager
def running_server(programs: Path) -> Iterator[Server]:
    """A new server; at the end neither its processes nor its files are left."""
    with tempfile.TemporaryDirectory(prefix="pixelbayes-postgres-") as folder:
        made = Server(programs, Path(folder))
        try:
            made.start()
            yield made
        finally:
            if made.running:
                made.stop()


def _free_port():
    # These are below the ports that clients get, so the port stays free while the server is stopped. The generator is
    # not the global one, which tests seed.
    for port in random.SystemRandom().sample(range(20000, 32000), 100):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) != 0:
                return port
    raise OSError("no free port")
