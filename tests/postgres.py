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

# A stop that is immediate loses no transaction without fsync, only a crash of the machine would. It would lose
# transactions without synchronous_commit.
SETTINGS = """
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
fsync = off
full_page_writes = off
"""


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian has none of them on the PATH."""
    path = os.pathsep.join([os.environ["PATH"], *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))])
    found = shutil.which("pg_ctl", path=path)
    return Path(found).resolve().parent if found else None


class Server:
    """A server whose databases are empty at the start; `url` is that of the newest."""

    def __init__(self, programs: Path, folder: Path):
        self.programs, self.folder, self.port = programs, folder, _free_port()
        self.data, self.log = folder / "data", folder / "log"
        self.databases = 0
        # PostgreSQL refuses to run as root
        self.account = {"user": "postgres", "group": "postgres", "extra_groups": []} if _is_root() else {}
        password = folder / "password"
        password.write_text(PASSWORD)
        if self.account:
            shutil.chown(folder, "postgres", "postgres")
            shutil.chown(password, "postgres", "postgres")
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
        """Stops at once as in a crash, or in the mode `fast`, as for maintenance; both end all connections."""
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
        # not in a pipe, which would stay open as long as the server runs
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(command, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT, **self.account)
            output.seek(0)
            log = self.log.read_text() if self.log.exists() else ""
            assert done.returncode == 0, f"{program} failed:\n{output.read()}{log}"


@contextmanager
def server(programs: Path) -> Iterator[Server]:
    """A running server; at the end neither its processes nor its files are left."""
    with tempfile.TemporaryDirectory(prefix="pixelbayes-postgres-") as folder:
        made = Server(programs, Path(folder))
        try:
            made.start()
            yield made
        finally:
            if made.running:
                made.stop()


def _is_root():
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _free_port():
    # Below the ports that systems give to clients: while the server is stopped, no client can get its port. Tests seed
    # the global generator.
    for port in random.SystemRandom().sample(range(20000, 32000), 100):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) != 0:
                return port
    raise OSError("no free port")
