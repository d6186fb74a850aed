"""The same workflow with the gradebook on a PostgreSQL server of the test's own."""

import contextlib
import csv
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from grader.assignment import load

pytest.importorskip("nbgrader")
pytest.importorskip("psycopg2")

from tests.nbgrader.conftest import TOPICS, Course, in_a_process, nbgrader  # noqa: E402
from tests.nbgrader.students import students  # noqa: E402

DEBIAN = Path("/usr/lib/postgresql")


@pytest.fixture(scope="module")
def database():
    """The url of a fresh server on a free port; it refuses to run as root, so it runs as postgres."""
    programs = sorted(DEBIAN.glob("*/bin"))
    if not programs or not shutil.which("setpriv"):
        pytest.skip("needs Debian's packages postgresql and util-linux: apt-get install postgresql")
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    made = subprocess.run([*as_user, "mktemp", "-d", "/tmp/dgm-postgresql-XXXX"], capture_output=True, text=True, check=True)
    folder = Path(made.stdout.strip())

    def run(program, *arguments):
        subprocess.run([*as_user, programs[-1] / program, *arguments], cwd="/", check=True, capture_output=True, timeout=120)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run("initdb", "-D", folder / "data", "-U", "course", "--auth=trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    run("pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "course", "gradebook")
        yield f"postgresql+psycopg2://course@127.0.0.1:{port}/gradebook"
    finally:
        run("pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
        time.sleep(0.1)
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)


def test_grades_reach_a_postgresql_gradebook(database, tmp_path):
    import psycopg2

    course = Course(tmp_path)
    course.lay_out(settings=f'c.CourseDirectory.db_url = "{database}"')
    for name, files in students(course.root).items():
        if name in ("anna", "patches"):
            folder = course.root / "submitted" / name / "lecture1"
            folder.mkdir(parents=True)
            for file, content in files.items():
                (folder / file).write_bytes(content)
    in_a_process("nbgrader", "autograde", "lecture1", folder=course.root)
    nbgrader("generate_feedback", "lecture1", folder=course.root)
    nbgrader("export", folder=course.root)
    rows = list(csv.DictReader((course.root / "grades.csv").read_text().splitlines()))
    scores = {row["student_id"]: float(row["score"]) for row in rows if row["assignment"] == "lecture1"}
    worth = sum(exercise.points for exercise in load("lecture1").required if exercise.topic in TOPICS)
    assert scores == {"anna": worth, "patches": 0.0}
    assert not (course.root / "gradebook.db").exists()
    with contextlib.closing(psycopg2.connect(database.replace("+psycopg2", ""))) as connection, connection.cursor() as cursor:
        cursor.execute("select sum(auto_score) from grade")
        assert cursor.fetchone()[0] == worth
