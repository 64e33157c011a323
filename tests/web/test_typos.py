"""Every option, mistyped in every place it may be in: the answer is the right one, and nothing starts."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest


def slips(name):
    """What people type for a name: {the kind of slip: what comes of it}."""
    middle = len(name) // 2
    while name[middle] in "-_" or name[middle - 1] in "-_" or name[middle] == name[middle - 1]:
        middle -= 1
    return {
        "swapped": name[: middle - 1] + name[middle] + name[middle - 1] + name[middle + 1 :],
        "dropped": name[:middle] + name[middle + 1 :],
        "doubled": name[:middle] + name[middle] + name[middle:],
        "wrong": name[:middle] + "x" + name[middle + 1 :],
        "underscored": name.translate(str.maketrans("-_", "_-")),
        "joined": name.replace("-", "").replace("_", ""),
        "shortened": name[:-1],
        "lengthened": name + "s",
        "capital": name.capitalize(),
        "uppercase": name.upper(),
    }


@pytest.fixture(scope="module")
def names(cserve):
    """All names that --help lists, and those that --print-config does."""
    text = subprocess.check_output([cserve, "--help"], text=True)
    shown = re.findall(r"^  (?:-\w, )?--([\w-]+)", text, re.MULTILINE)
    text = subprocess.check_output([cserve, "--print-config"], text=True)
    configured = re.findall(r"^(\S+) ", text, re.MULTILINE)
    assert len(shown) > 50 and set(configured) < set(shown)
    return shown, list(dict.fromkeys(configured))


@pytest.fixture
def refuse(cserve, tmp_path):
    """refuse([(arguments, environment)...]): what each of these runs, none of which may start, said."""
    (tmp_path / "app.py").write_text("print('LOADED')\ndef app(environ, start_response): pass\n")

    def run(case):
        arguments, env = case
        done = subprocess.run(
            [cserve, *arguments, "app"],
            cwd=tmp_path,
            env=env,
            text=True,
            capture_output=True,
            close_fds=False,
        )
        assert (done.returncode, done.stdout) == (2, ""), (case, done)
        assert done.stderr.startswith("cserve: ") and done.stderr.count("\n") == 1, done
        return done.stderr

    def refuse(cases):
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(run, cases))

    return refuse


def typos(names, count=None):
    """(name, typo) of all slips that make no other name; or of `count` of them, other ones for each name."""
    for at, name in enumerate(names):
        made = list(dict.fromkeys(slips(name).values()))
        for step in range(count or len(made)):
            typo = made[(at + 3 * step) % len(made)]
            if typo not in names:
                yield name, typo


def check(pairs, answers, meant):
    """All wrong answers at once."""
    wrong = [
        (typo, answer)
        for (name, typo), answer in zip(pairs, answers, strict=True)
        if not re.search(rf"; did you mean {re.escape(meant(name))}\?$", answer.strip())
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_typos_on_the_command_line(refuse, names):
    pairs = list(typos(names[0]))
    check(pairs, refuse([([f"--{typo}"], {}) for _, typo in pairs]), "--{}".format)


def test_typos_in_the_environment(refuse, names):
    def variable(name):
        return "CSERVE_" + name.replace("-", "_").upper()

    known = {variable(name) for name in names[1]}
    pairs = {(name, variable(typo)) for name, typo in typos(names[1], 3)}
    pairs |= {(name, "CSERVE_" + name) for name in names[1]}
    pairs = sorted(pair for pair in pairs if pair[1] not in known)
    check(pairs, refuse([([], {typo: "1"}) for _, typo in pairs]), variable)


def test_typos_in_a_file(refuse, names, tmp_path):
    names = [name for name in names[1] if name != "config"]
    same = {name.replace("_", "-") for name in names}
    pairs = [pair for pair in typos(names, 3) if pair[1].replace("_", "-") not in same]
    cases = []
    for at, (_, typo) in enumerate(pairs):
        (tmp_path / f"{at}.ini").write_text(f"[cserve]\n\n{typo} = 1\n")
        cases.append((["--config", f"{at}.ini"], {}))
    answers = refuse(cases)
    assert all(answer.startswith(f"cserve: {at}.ini:3: ") for at, answer in enumerate(answers))
    check(pairs, answers, str)
