# SPDX-License-Identifier: Apache-2.0
"""The commands asg4j-export and asg4j-demo, and that the exporter can be had without the demo."""

import ast
import re
from pathlib import Path

import pytest

import asg4j_demo.__main__
import asg4j_export.__main__

PACKAGES = {"asg4j-export": asg4j_export.__main__, "asg4j-demo": asg4j_demo.__main__}


@pytest.mark.parametrize("program,command", [(p, c) for p, package in PACKAGES.items() for c in package.COMMANDS])
def test_every_command_has_its_help(program, command, capsys):
    with pytest.raises(SystemExit) as stopped:
        PACKAGES[program].main([command, "--help"])
    said = capsys.readouterr().out
    assert stopped.value.code == 0
    assert f"usage: {program} {command}" in said and PACKAGES[program].COMMANDS[command][1] in " ".join(said.split())
    assert len(re.findall(r"^  \S", said, re.MULTILINE)) > 1  # more than --help: the module's own arguments are there


@pytest.mark.parametrize("program", PACKAGES)
def test_unknown_and_missing_commands(program, capsys):
    for arguments in ([], ["paint"]):
        with pytest.raises(SystemExit) as stopped:
            PACKAGES[program].main(arguments)
        assert stopped.value.code == 2
    assert "invalid choice: 'paint'" in capsys.readouterr().err


def test_the_exporter_imports_nothing_of_the_demo():
    files = list(Path(asg4j_export.__main__.__file__).parent.glob("*.py"))
    assert len(files) > 15
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any("demo" in name for name in names), f"{file.name} imports {names}"
