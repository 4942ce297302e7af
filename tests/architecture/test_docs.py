"""What the tutorials show is what happens. Oracle: the commands themselves, on the files as the pages print them."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from diffloom import config
from diffloom.cli.config import config as config_command
from diffloom.errors import ConfigError

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = [
    (page.name, text)
    for page in sorted(DOCS.glob("*.md"))
    for text in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    if "extends:" in text and "moon" not in text  # "moon" is made by its readers
]


@pytest.fixture(scope="module")
def page():
    return (DOCS / "configuration.md").read_text(encoding="utf-8")


def block(beginning):
    """The one YAML block that holds a text."""
    (found,) = [text for _, text in BLOCKS if beginning in text]
    return found


@pytest.mark.parametrize(("name", "text"), [item for item in BLOCKS if "chanels" not in item[1]])
def test_a_shown_configuration_is_sound(name, text, tmp_path, registry):
    (tmp_path / "file.yaml").write_text(text)
    config.load(str(tmp_path / "file.yaml"), registry=registry)


def test_the_shown_mistakes_give_the_shown_messages(page, tmp_path, registry, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("broken.yaml").write_text(block("chanels"))
    with pytest.raises(ConfigError) as caught:
        config.load("broken.yaml", registry=registry)
    shown = "\n".join(f"    {line}" for line in f"error: {caught.value}".splitlines())
    assert shown in page


def test_the_shown_origins_are_told(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(block("sample_every"))
    done = CliRunner().invoke(config_command, ["show", "small.yaml", "--origin"], catch_exceptions=False)
    (shown,) = re.findall(r"```yaml\n(backbone:\n  type: diffloom/unet .*?)```", page, re.DOTALL)

    def told(text):
        """Without digits: the shipped file's lines move, and so does the column of the remarks."""
        return {re.sub(r"\d+| +", "", line) for line in text.splitlines()}

    assert told(shown) <= told(done.output)


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
