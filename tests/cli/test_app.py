"""The command line as a whole: every verb is there, helps, and costs little to ask."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from maskwatch.cli import app
from maskwatch.errors import MaskwatchError, SourceRefusedError
from maskwatch.secrets import register_secret

VERBS = sorted(app._VERBS)
HEAVY = (
    "alembic", "amqtt", "av", "cv2", "keras", "matplotlib", "numpy", "paho",
    "prometheus_client", "scipy", "skimage", "sklearn", "sqlalchemy", "tensorflow", "ai_edge_litert",
)  # fmt: skip


def _run(*arguments: str, **keys: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "maskwatch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **keys)  # type: ignore[call-overload]  # passes subprocess's own options through


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_of_the_table_exists_under_its_name(verb: str) -> None:
    command = app._load(verb)
    assert command.name == verb
    assert command.help, verb
    assert app._VERBS[verb].endswith(".")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verbs_help_has_examples_and_loads_nothing_heavy(verb: str) -> None:
    code = (
        "import sys\n"
        "from maskwatch.cli.app import main\n"
        "try: main([sys.argv[1], '--help'])\n"
        "except SystemExit as end: code = end.code\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], code, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, verb], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.strip() == "[] 0"
    assert f"maskwatch {verb}" in done.stdout
    assert re.search(rf"Examples?:\n(.*\n)*?\s+(\S+=\S+ )*maskwatch {verb}", done.stdout), done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_a_help(verb: str) -> None:
    pending = [app._load(verb)]
    while pending:
        command = pending.pop()
        if isinstance(command, click.Group):
            pending += command.commands.values()
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, f"{command.name} {option.name}"


def test_the_overview_lists_every_verb_and_imports_none() -> None:
    code = (
        "import sys\n"
        "from maskwatch.cli.app import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.startswith('maskwatch.')), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(re.search(rf"^  {verb}  ", done.stdout, re.MULTILINE) for verb in VERBS)
    ours = "['maskwatch.cli', 'maskwatch.cli.app', 'maskwatch.errors', 'maskwatch.secrets']"
    assert done.stderr.strip() == ours


def test_every_module_of_the_package_is_a_verb_or_used_by_one(root: Path) -> None:
    """A verb that was forgotten in the table would be there and nobody could call it."""
    files = {path.stem: path.read_text() for path in (root / "maskwatch/cli").glob("*.py")}
    verbs = {"check" if verb == "schema" else verb for verb in VERBS}
    assert verbs <= set(files)
    for name in set(files) - verbs - {"__init__", "app"}:
        users = [other for other, text in files.items() if f"from maskwatch.cli.{name} import" in text]
        assert users, name


def test_the_version_is_printed() -> None:
    done = _run("--version")
    assert done.returncode == 0
    assert re.search(r"\d+\.\d+\.\d+", done.stdout)


def test_an_unknown_verb_is_a_usage_error_with_a_suggestion() -> None:
    done = _run("chek", "x.yaml")
    assert done.returncode == 2
    assert "Did you mean 'check'?" in done.stderr
    done = _run("xyzzy")
    assert done.returncode == 2
    assert "No such command 'xyzzy'" in done.stderr


class TestMain:
    """What becomes of an error that a verb lets out."""

    @staticmethod
    def _ended(
        error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> tuple[int, str]:
        def main(**_: object) -> None:
            raise error

        monkeypatch.setattr(app.cli, "main", main)
        with pytest.raises(SystemExit) as end:
            app.main([])
        assert isinstance(end.value.code, int)
        return end.value.code, capsys.readouterr().err

    def test_a_foreseen_error_is_one_line_with_its_exit_code(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        error = SourceRefusedError("rtsp://u:canary-pw@h/s: connection refused")
        code, said = self._ended(error, monkeypatch, capsys)
        assert code == SourceRefusedError.exit_code
        assert said == "maskwatch: rtsp://***@h/s: connection refused\n"

    def test_an_operating_systems_error_is_one_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        error = PermissionError(13, "Permission denied", "/var/lib/x")
        code, said = self._ended(error, monkeypatch, capsys)
        assert (code, said) == (1, "maskwatch: /var/lib/x: Permission denied\n")

    def test_an_unexpected_error_has_a_traceback_without_secrets(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        register_secret("canary-value")
        code, said = self._ended(RuntimeError("canary-value"), monkeypatch, capsys)
        assert code == MaskwatchError.exit_code
        assert "Traceback" in said
        assert "please report" in said
        assert "canary" not in said

    def test_a_closed_pipe_is_not_an_error(self) -> None:
        shell = f"set -o pipefail; {sys.executable} -m maskwatch schema | head -c 10"
        done = subprocess.run(
            ["bash", "-c", shell], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stderr == ""


class TestCompletion:
    """The script that a shell loads really completes."""

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_there_is_a_script_for_each_shell(self, shell: str) -> None:
        done = _run("completion", shell)
        assert done.returncode == 0
        assert "_MASKWATCH_COMPLETE" in done.stdout

    def test_another_shell_is_a_usage_error(self) -> None:
        done = _run("completion", "cmd")
        assert done.returncode == 2
        assert "'bash', 'zsh', 'fish'" in done.stderr

    @pytest.mark.parametrize(
        ("typed", "completions"),
        [
            ("maskwatch ch", {"check"}),
            ("maskwatch re", {"reload", "replay"}),
            ("maskwatch completion b", {"bash"}),
            ("maskwatch check --js", {"--json"}),
        ],
    )
    def test_bash_completes_verbs_arguments_and_options(
        self, typed: str, completions: set[str], tmp_path: Path
    ) -> None:
        bash = shutil.which("bash")
        assert bash is not None
        words = typed.split()
        (tmp_path / "maskwatch").write_text(f'#!/bin/sh\nexec {sys.executable} -m maskwatch "$@"\n')
        (tmp_path / "maskwatch").chmod(0o755)
        script = f"""
            PATH={tmp_path}:$PATH
            source <(maskwatch completion bash)
            COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}
            _maskwatch_completion maskwatch {words[-1]} {words[-2]}
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(
            [bash, "-c", script], capture_output=True, text=True, timeout=60, check=True
        )
        assert set(done.stdout.split()) == completions


def test_a_verb_works_with_closed_streams_and_keeps_their_descriptors(
    tmp_path: Path,
) -> None:
    """A socket with the number 2 would have libraries write their messages into it."""
    (tmp_path / "config.yaml").write_text("cameras: [{name: a, url: 'rtsp://127.0.0.1:1/s'}]\n")
    code = (
        "import os, sys\n"
        "from maskwatch.cli.app import main\n"
        "from maskwatch.config.schema import LogConfig\n"
        "sys.argv[1:] = ['check', 'config.yaml']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    from maskwatch.telemetry.logs import setup; setup(LogConfig(), 'supervisor')\n"
        "    seen = [os.readlink(f'/proc/self/fd/{fd}') for fd in range(3)]\n"
        "    open('seen', 'w').write(f'{end.code or 0} {seen}')\n"
    )
    command = ["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, code]
    subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(Path(__file__).parents[2])}, check=True, timeout=60
    )
    assert (tmp_path / "seen").read_text() == f"0 {['/dev/null'] * 3}"
