"""docs/sdk.md and docs/jobs.md name what is there: calls, errors, variables, exit codes and reasons."""

import ast
import inspect
import re
import signal
import tomllib
from pathlib import Path

import tunebook
from tunebook import design, errors
from tunebook.asked import AskedTrial
from tunebook_server.domain.study import StudyDesign
from tunebook_worker import launch, outcome, ranks

DOCS = Path(__file__).parents[2] / "docs"
SDK, JOBS = (DOCS / "sdk.md").read_text(), (DOCS / "jobs.md").read_text()
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
TREE = re.compile(r"[├└]─ (\w+)|^(TunebookError)$", re.MULTILINE)
CALL = re.compile(r"`(?:(client|study|trial)\.)?([a-z_]+)\(([^`]*)\)`")
HAVE = {"client": tunebook.Client, "study": tunebook.Study, "trial": tunebook.LaunchedTrial}


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n")[1].split("\n## ", maxsplit=1)[0]


def test_the_tree_of_errors_is_the_one_of_the_code() -> None:
    assert TREE.findall(section(SDK, "Errors")) == TREE.findall(inspect.getdoc(errors) or "")
    kinds = {
        name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)
    }
    assert {"".join(found) for found in TREE.findall(SDK)} == kinds


def test_every_call_of_the_sdk_is_one() -> None:
    sections = {
        "Client": "client",
        "What a study says": "study",
        "In a job": "trial",
        "A loop of your own": "study",
    }
    seen = set()
    for heading, usual in sections.items():
        for owner, name, arguments in CALL.findall(section(SDK, heading)):
            kind = HAVE[owner or usual]
            if owner == "trial" and not hasattr(kind, name):
                kind = AskedTrial
            if name == "current_trial":
                continue
            found = inspect.signature(getattr(kind, name)).parameters
            takes_any = any(each.kind is each.VAR_KEYWORD for each in found.values())
            named = re.findall(r"(?:^|, )(\w+)=", arguments)
            assert takes_any or set(named) <= found.keys(), (heading, name, named)
            seen.add(name)
    assert {"create", "compare", "ask", "ask_each", "edit", "findings", "figure", "trials", "finish"} <= seen


def test_the_attributes_of_a_trial_are_there() -> None:
    rows = [line for line in section(SDK, "In a job").splitlines() if line.startswith("| `")]
    source = inspect.getsource(tunebook.Trial) + inspect.getsource(tunebook.LaunchedTrial)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row.split(" | ")[0])]
    assert {"parameters", "seed", "resume_from", "should_stop", "data_seed"} <= set(names)
    for name in names:
        assert f"self.{name}" in source or f"def {name}(" in source, name


def test_the_examples_are_python_and_the_study_is_one() -> None:
    blocks = [ast.parse(block.replace("…", "...")) for block in PYTHON.findall(SDK) + PYTHON.findall(JOBS)]
    (document,) = (
        ast.literal_eval(node)
        for block in blocks
        for node in ast.walk(block)
        if isinstance(node, ast.Dict) and any(getattr(key, "value", "") == "project" for key in node.keys)
    )
    assert StudyDesign.parse(document).template is None


def test_the_variables_of_a_job_are_all_named() -> None:
    told = section(JOBS, "Environment")
    given = launch.surroundings(
        [], dict.fromkeys(launch.ALWAYS, "x"), job_file=Path("job.json"), gpus=["0"], threads=2
    )
    for name in (*given, *ranks.place(0, 2, 1)):
        assert f"`{name}`" in told, name


def test_the_command_line_is_the_one_that_is_run() -> None:
    line = section(JOBS, "Hyperparameters").split("```\n")[1].strip()
    job = tomllib.loads(JOBS.split("```toml\n")[1].split("```")[0])["job"]
    values = {"optimizer": "adam", "learning_rate": 0.0144184, "nesterov": True, "batch_size": 64}
    assert job.keys() <= design._JOB_KEYS
    assert [word.decode() for word in launch.words(job["command"], values)][1:] == line.split()[1:]


def test_exit_codes_have_the_reasons_that_the_page_says() -> None:
    table = section(JOBS, "How it ends")
    for ending in (
        outcome.of_exit(tunebook.INFEASIBLE_EXIT_CODE),
        outcome.of_exit(1, "ValueError: bad shape"),
        outcome.of_exit(-signal.SIGKILL),
    ):
        (row,) = (line for line in table.splitlines() if f"`{ending.reason}`" in line)
        assert f"| {ending.state} |" in row
