"""Bulk downloads of Canvas, Moodle and Gradescope, packed and unpacked."""

import msgspec
import pytest

from grader.record import Person

FLOWS = "def planar(x):\n    return x\n"
VAES = "def elbo(x):\n    return x\n"
WHOLE = {"flows": [FLOWS], "vaes": [VAES]}

METADATA = """---
submission_98765:
  :submitters:
  - :name: Anna Müller
    :sid: '0042'
    :email: anna@example.org
  - :name: Bert Brecht
    :sid: '43'
    :email: bert@example.org
  :created_at: 2026-03-01 10:00:00.123456000 Z
  :score: 3.0
  :results: !ruby/object:Hash
    output: "submission_1:\\n"
submission_98766:
  :submitters:
  - :name: Conni
    :sid:
    :email: conni@example.org
  - :name: Dora
    :sid: '0044'
    :email: dora@example.org
  :lateness: 3600
  :history: []
"""

BERT = Person("Bert Brecht", "43", "bert@example.org", "gradescope", attempt="98765", submitted="2026-03-01T10:00:00+00:00")
MUELLER = Person("Anna Müller", "0042", "anna@example.org", "gradescope", attempt="98765", members=(BERT,), submitted=BERT.submitted)


CONNI = Person("Conni", "98766", "conni@example.org", "gradescope", attempt="98766")
DORA = Person("Dora", "0044", "dora@example.org", "gradescope", late=True, attempt="98766")


def canvas(session):
    return {
        "muelleranna_340934_208490284_flows.py": FLOWS,
        "muelleranna_340934_208490285_vaes-1.py": VAES,
        "brechtbert_LATE_340935_208490286_work.zip": session.zipped({"hw/flows.py": FLOWS, "hw/vaes.py": VAES}),
        "doeconni_340936_208490287_essay.docx": "PK",
        "doedirk_340937_208490288_work.rar": "Rar!",
    }


def moodle(session, between="_/"):
    name = "_assignsubmission_file" + between
    return {
        f"Anna Müller_340934{name}flows.py": FLOWS,
        f"Anna Müller_340934{name}vaes.py": VAES,
        f"Bert Brecht-Weigel_340935{name}work.zip": session.zipped({"hw/flows.py": FLOWS, "hw/vaes.py": VAES}),
        f"Conni_340936{name}essay.docx": "PK",
        f"Dirk_340937{name}work.rar": "Rar!",
        "Dirk_340937_assignsubmission_onlinetext_/onlinetext.html": "<p>",
    }


def laid(session, files, packed, wrapper=""):
    if packed:
        session.lay("class/download.zip", session.zipped({wrapper + name: content for name, content in files.items()}))
    else:
        for name, content in files.items():
            session.lay(f"class/{wrapper}{name}", content)
    return session.submissions("class")


@pytest.mark.parametrize("packed", [True, False])
def test_canvas(session, packed):
    found = laid(session, canvas(session), packed)
    assert set(found) == {"muelleranna_340934", "brechtbert_340935", "doeconni_340936", "doedirk_340937"}
    assert found["muelleranna_340934"].topics == WHOLE
    assert found["muelleranna_340934"].student == Person("muelleranna", "340934", "", "canvas", attempt="208490284")
    assert (found["brechtbert_340935"].student.late, found["muelleranna_340934"].student.late) == (True, False)
    assert found["brechtbert_340935"].topics == WHOLE
    assert "nothing to grade" in found["doeconni_340936"].problems[0]
    assert "work.rar was not read" in found["doedirk_340937"].problems[0]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("between", ["_/", "/", "_"])
def test_moodle(session, packed, between):
    found = laid(session, moodle(session, between), packed)
    assert set(found) == {"Anna Müller_340934", "Bert Brecht-Weigel_340935", "Conni_340936", "Dirk_340937"}
    assert found["Anna Müller_340934"].topics == WHOLE
    assert found["Anna Müller_340934"].student == Person("Anna Müller", "340934", "", "moodle")
    assert found["Bert Brecht-Weigel_340935"].topics == WHOLE
    assert "nothing to grade" in found["Conni_340936"].problems[0]
    assert "work.rar was not read" in found["Dirk_340937"].problems[0]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("wrapper", ["", "assignment_123_export/"])
def test_gradescope(session, packed, wrapper):
    files = {
        "submission_metadata.yml": METADATA,
        "submission_98765/flows.py": FLOWS,
        "submission_98765/deep/vaes.py": VAES,
        "submission_98766/flows.py": FLOWS,
        "submission_98767/flows.py": FLOWS,
    }
    found = laid(session, files, packed, wrapper)
    assert set(found) == {"Anna Müller_0042", "Conni_98766", "submission_98767"}
    assert (found["Anna Müller_0042"].topics, found["Anna Müller_0042"].student) == (WHOLE, MUELLER)
    assert found["Conni_98766"].student == msgspec.structs.replace(CONNI, late=True, members=(DORA,))


def test_who_is_in_no_list_is_not_lost(session):
    found = laid(session, canvas(session) | {"extra/flows.py": FLOWS, "late.py": VAES}, packed=False)
    assert found["extra"].topics == {"flows": [FLOWS]}
    assert found["late"].topics == {"vaes": [VAES]}


def test_a_students_zip_does_not_speak_for_others(session):
    forged = session.zipped({"Anna Müller_340934_assignsubmission_file_/flows.py": FLOWS})
    session.lay("class/mallory.zip", forged)
    session.lay("class/bert.py", FLOWS)
    found = session.submissions("class")
    assert set(found) == {"mallory", "bert"}
    assert found["mallory"].student is None


BROKEN = [":submitters:\n  - :name: [\n", ":submitters: 3\n", ":submitters:\n  - 3\n", ":submitters:\n  - :name: \n"]


@pytest.mark.parametrize("metadata", ["", "x: [", *("submission_1:\n  " + submitters for submitters in BROKEN)])
def test_metadata_that_cannot_be_read_costs_only_the_names(session, metadata):
    found = laid(session, {"submission_metadata.yml": metadata, "submission_1/flows.py": FLOWS}, packed=False)
    assert found["submission_1"].topics == {"flows": [FLOWS]}
