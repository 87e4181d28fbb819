"""What an operator writes becomes one frozen object, or one line for each mistake."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, ValidationError

from chatelier.core.errors import SettingsError
from chatelier.core.settings import Http, Section, Settings, load, load_plugin_settings
from chatelier.core.settings.environment import variable
from chatelier.core.settings.load import everywhere
from chatelier.core.settings.page import own_models, render_page

ROOT = Path(__file__).parent.parent
CANARY = "canary-71f2"


class Account(Section):
    token: SecretStr = Field(description="Secret of the account.")
    album: int = Field(default=10, ge=2, description="Pictures an album.")


class Web(Section):
    """The chat page."""

    title: str = Field(default="Atelier", description="Name of the page.")
    theme: Literal["dark", "light"] = Field(default="dark", description="Colours.")
    token: SecretStr | None = Field(default=None, description="Secret of the page.")
    key_file: Path | None = Field(default=None, description="Where a key is.")
    accounts: Annotated[dict[str, Account], "by name"] = Field(default={}, description="Named accounts.")
    servers: list[Account] = Field(default=[], description="A list of settings.")
    tags: tuple[str, ...] = Field(default=("a", "b"), description="Words | bars.")
    quiet: bool = Field(default=False, description="Less to see.")
    ratio: float | int = Field(default=1.5, description="A number.")


class Loose(BaseModel):
    """A third party's model that forgot to forbid unknown names."""

    speed: int = 1
    anything: Any = None


class Needy(Section):
    token: SecretStr


MODELS: Mapping[str, type[BaseModel]] = {"platforms.web": Web, "platforms.loose": Loose, "backends.deep.sea": Web}


def read(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None, **options: Any) -> Settings:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return load(path, MODELS, environ or {}, **options)


def mistakes(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None, **options: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text, environ, **options)
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, OSError)
    return [line.removeprefix(f"{tmp_path}/") for line in str(caught.value).splitlines()]


def test_nothing_written_gives_the_defaults(tmp_path: Path) -> None:
    settings = load(None, MODELS, {})
    assert settings == read(tmp_path, "")
    assert settings.http == Http()
    assert settings.of("platforms.web", Web) == Web()
    assert "platforms.web" not in settings
    assert settings.store == f"sqlite:{settings.data_dir}/chatelier.db"
    assert settings.workflows.folder == settings.data_dir / "workflows"
    assert settings.data_dir.is_absolute()


def test_the_environment_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    text = "http: {port: 1, host: example}\nplatforms:\n  web: {title: One, theme: light}\n"
    settings = read(tmp_path, text, {"CHATELIER_HTTP__PORT": "2", "CHATELIER_PLATFORMS__WEB__TITLE": "Two"})
    assert (settings.http.host, settings.http.port) == ("example", 2)
    web = settings.of("platforms.web", Web)
    assert (web.title, web.theme, web.tags) == ("Two", "light", ("a", "b"))


def test_nothing_can_be_changed_afterwards(tmp_path: Path) -> None:
    settings = read(tmp_path, "http: {port: 1}")
    with pytest.raises(ValidationError):
        settings.http.port = 2
    with pytest.raises(ValidationError):
        settings.store = "x"


def test_what_is_kept_stands_in_the_data_folder(tmp_path: Path) -> None:
    settings = read(tmp_path, "data_dir: ./here\nstore: sqlite:other.db")
    assert settings.data_dir == tmp_path / "here"
    assert settings.store == f"sqlite:{tmp_path}/here/other.db"
    assert read(tmp_path, "store: mongodb://db.example.com/x").store == "mongodb://db.example.com/x"
    assert read(tmp_path, "store: sqlite:/srv/x.db").store == "sqlite:/srv/x.db"


def test_relative_paths_are_relative_to_where_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = tmp_path / "current"
    current.mkdir()
    monkeypatch.chdir(current)
    text = "workflows: {folder: graphs}\nplatforms: {web: {key_file: key}}"
    settings = read(tmp_path, text, {"CHATELIER_DATA_DIR": "./var"})
    assert settings.data_dir == current / "var"
    assert settings.workflows.folder == tmp_path / "graphs"
    assert settings.of("platforms.web", Web).key_file == tmp_path / "key"
    assert read(tmp_path, "data_dir: ~/x").data_dir == Path.home() / "x"


def test_an_empty_section_is_one_with_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, "http:\nworkflows:\nplatforms:\n  web:\nbackends:\n")
    assert settings.http == Http()
    assert "platforms.web" in settings
    assert settings.of("platforms.web", Web) == Web()


def test_sections_may_be_nested_and_accounts_have_names(tmp_path: Path) -> None:
    text = "backends:\n  deep:\n    sea:\n      accounts:\n        My-Shop: {token: x}\n"
    web = read(tmp_path, text, {"CHATELIER_BACKENDS__DEEP__SEA__ACCOUNTS__MY_SHOP__ALBUM": "4"})
    assert web.of("backends.deep.sea", Web).accounts["My-Shop"].album == 4


def test_the_environment_makes_what_the_file_lacks() -> None:
    environ = {
        "CHATELIER_PLATFORMS__WEB__ACCOUNTS__SHOP__TOKEN": "0123456789",
        "CHATELIER_OPERATORS": "telegram:42, web:anna",
        "CHATELIER_PLATFORMS__WEB__SERVERS": "[{token: a}, {token: b, album: 3}]",
        "CHATELIER_PLATFORMS__WEB__QUIET": "true",
        "CHATELIER_PLATFORMS__WEB__RATIO": "2.5",
    }
    settings = load(None, MODELS, environ)
    web = settings.of("platforms.web", Web)
    assert web.accounts["shop"].token.get_secret_value() == "0123456789"
    assert settings.operators == ("telegram:42", "web:anna")
    assert [server.album for server in web.servers] == [10, 3]
    assert (web.quiet, web.ratio) == (True, 2.5)


def test_a_variable_replaces_all_of_what_the_file_has_there(tmp_path: Path) -> None:
    text = "platforms: {web: {accounts: {shop: {token: x, albm: 1}}}}\nhttp: 5"
    settings = read(
        tmp_path, text, {"CHATELIER_PLATFORMS__WEB__ACCOUNTS": "{other: {token: y}}", "CHATELIER_HTTP__PORT": "9"}
    )
    assert list(settings.of("platforms.web", Web).accounts) == ["other"]
    assert settings.http.port == 9


def test_items_of_a_list_have_numbers_in_the_environment(tmp_path: Path) -> None:
    servers = [f"{{token: from the file, album: {n + 2}}}" for n in range(2)]
    environ = {f"CHATELIER_PLATFORMS__WEB__SERVERS__{n}__TOKEN": f"token {n}" for n in range(12)}
    for text, albums in ("", [10, 10]), (f"platforms: {{web: {{servers: [{', '.join(servers)}]}}}}", [2, 3]):
        web = read(tmp_path, text, environ).of("platforms.web", Web)
        assert [server.token.get_secret_value() for server in web.servers] == [f"token {n}" for n in range(12)]
        assert [server.album for server in web.servers[:2]] == albums
    environ = {"CHATELIER_OPERATORS__1": "web:zoe", "CHATELIER_PLATFORMS__WEB__ACCOUNTS__42__TOKEN": "x"}
    settings = read(tmp_path, "operators: [web:ada, web:bob]", environ)
    assert settings.operators == ("web:ada", "web:zoe")
    assert list(settings.of("platforms.web", Web).accounts) == ["42"]


def test_the_variable_that_a_mistake_names_mends_it(tmp_path: Path) -> None:
    text = "platforms: {web: {servers: [{token: x}, {album: 3}]}}"
    (line,) = mistakes(tmp_path, text)
    name = line.rpartition(" ")[2]
    web = read(tmp_path, text, {name: "y"}).of("platforms.web", Web)
    assert [(server.token.get_secret_value(), server.album) for server in web.servers] == [("x", 10), ("y", 3)]
    (line,) = mistakes(tmp_path, "operators: [web:ada]", {"CHATELIER_OPERATORS__3": "web:bob"})
    assert line == "CHATELIER_OPERATORS__3: operators: its next item is number 1"


def test_variables_that_are_not_settings_are_left_alone() -> None:
    environ = {
        "CHATELIER_LOAD_PLUGINS": "x",
        "CHATELIER_TRACE_PLUGINS": "1",
        "CHATELIER_LOG_LEVEL": "DEBUG",
        "CHATELIER_SERVICE_HOST": "10.0.0.1",
        "CHATELIER_PORT_8080_TCP_ADDR": "10.0.0.1",
        "CHATELIERS": "x",
    }
    assert load(None, MODELS, environ) == load(None, MODELS, {})


def test_references_are_replaced_in_any_text(tmp_path: Path) -> None:
    text = 'http: {token: "${PAGE}"}\nplatforms: {web: {title: "${A}-${B} $${C} $5", tags: ["${A}"]}}'
    settings = read(tmp_path, text, {"PAGE": CANARY, "A": "x", "B": "y"})
    web = settings.of("platforms.web", Web)
    assert settings.http.token.get_secret_value() == CANARY
    assert (web.title, web.tags) == ("x-y ${C} $5", ("x",))


def test_what_a_variable_holds_is_not_looked_into(tmp_path: Path) -> None:
    settings = read(tmp_path, "platforms: {web: {title: '${A}'}}", {"A": "${B}", "CHATELIER_HTTP__TOKEN": "${C}"})
    assert settings.of("platforms.web", Web).title == "${B}"
    assert settings.http.token.get_secret_value() == "${C}"


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(CANARY + "\n")
    text = (
        "http: {token: {file: secret}}\nplatforms: {web: {token: {file: secret}, servers: [{token: {file: secret}}]}}"
    )
    settings = read(tmp_path, text, {"CHATELIER_HTTP__CONSOLE_TOKEN__FILE": str(tmp_path / "secret")})
    web = settings.of("platforms.web", Web)
    found = (settings.http.token, settings.http.console_token, web.token, web.servers[0].token)
    assert {secret.get_secret_value() if secret else "" for secret in found} == {CANARY}


def test_plain_scalars_are_what_they_look_like(tmp_path: Path) -> None:
    """The key `off` is a name, 12:30 is text, and so are yes and 2026-01-01."""
    settings = read(
        tmp_path, "plugins: {off: [yes, 12:30, 2026-01-01]}\nlimits: {upload_bytes: 50_000, attempts: 0x10}"
    )
    assert settings.plugins.off == ("yes", "12:30", "2026-01-01")
    assert (settings.limits.upload_bytes, settings.limits.attempts) == (50_000, 16)
    assert read(tmp_path, "limits: {run_seconds: 1.5e2}").limits.run_seconds == 150
    assert read(tmp_path, "platforms: {web: {quiet: True, ratio: -0.5}}").of("platforms.web", Web).ratio == -0.5


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    text = "http: &x {host: a, port: 1}\nplatforms:\n  web:\n    accounts:\n      a: &a {token: x, album: 5}\n      b: {<<: *a, album: 6}\n"
    web = read(tmp_path, text).of("platforms.web", Web)
    assert (web.accounts["b"].album, web.accounts["b"].token.get_secret_value()) == (6, "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("platforms:\n  web:\n    titel: x", '3: platforms.web.titel: unknown setting; did you mean "title"?'),
        ("port: 3", '1: port: unknown setting; did you mean "http.port"?'),
        ("zzz: 3", "1: zzz: unknown setting; known here: backends, data_dir, http,"),
        ("platforms:\n  loose: {sped: 1}", '2: platforms.loose.sped: unknown setting; did you mean "speed"?'),
        ("platforms: {loose: {speed: fast}}", "1: platforms.loose.speed: should be a whole number"),
        ("platforms:\n  wbe:", '2: platforms.wbe: unknown section; did you mean "web"?'),
        ("platforms:\n  irc: {a: 1}", "2: platforms.irc: no plugin has this section; install the one that does"),
        ("platforms: web", "1: platforms: should hold sections"),
        ("http:\n\n  port: eight", "3: http.port: should be a whole number"),
        ("http: {port: 70000}", "1: http.port: should be less than or equal to 65535"),
        ("http: 8080", "1: http: should be settings of its own"),
        ("http: {host: 5}", "1: http.host: should be text; put it in quotes"),
        ("http: {host: }", "1: http.host: is empty; give it a value or remove the line"),
        ("http: {public_url: art}", '1: http.public_url: should be an address such as "https://art.example.com"'),
        ("http: {public_url: 'http://['}", "1: http.public_url: should be an address such as"),
        ("http: {public_url: 'http://art.example.com:99999'}", "1: http.public_url: should be an address such as"),
        (
            f"http:\n  public_url: https://ada:{CANARY}@art.example.com",
            "2: http.public_url: should be an address without a name and password in it; everybody sees it",
        ),
        (
            "http: {public_url: 'https://ada@art.example.com'}",
            "1: http.public_url: should be an address without a name",
        ),
        ("data_dir: ''", "1: data_dir: is empty; give it a path or leave it out"),
        ("workflows: {folder: ' '}", "1: workflows.folder: is empty; give it a path"),
        ("data_dir: ${NOWHERE}", "1: data_dir: the environment variable NOWHERE is not set"),
        ("http: {host: 'x${}y'}", "1: http.host: ${} lacks the name of an environment variable"),
        ("http: {host: '${ }'}", "1: http.host: ${} lacks the name of an environment variable"),
        (f"http: {{port: {'9' * 5_000}}}", "1: http.port: should be a whole number"),
        ("operators: [web:a,\n  anna]", '2: operators.1: should be a handle "network:id"'),
        ("operators: web:a", "1: operators: should be a list, such as [a, b]"),
        ("data_dir: 5", "1: data_dir: should be a path"),
        ("store: 5", "1: store: should be text"),
        ("workflows: x", "1: workflows: should be settings of its own"),
        ("plugins: x", "1: plugins: should be settings of its own"),
        ("plugins: {off: x}", "1: plugins.off: should be a list"),
        ("platforms: {web: {theme: pink}}", "1: platforms.web.theme: should be 'dark' or 'light'"),
        ("platforms: {web: {quiet: maybe}}", "1: platforms.web.quiet: should be true or false"),
        (
            "platforms:\n  web:\n    accounts:\n      shop:\n        album: 3",
            "4: platforms.web.accounts.shop.token: missing; set it here or as {file: path}, or as CHATELIER_PLATFORMS__WEB__A",
        ),
        (
            "platforms: {web: {servers: [{token: x,\n albm: 3}]}}",
            "2: platforms.web.servers.0.albm: unknown setting; did",
        ),
        ("http: {token: ${NOWHERE}}", "1: is not YAML: expected ',' or '}', but got '{'; put \"${…}\" in quotes here"),
        ("http:\n  token: ${NOWHERE}", "2: http.token: the environment variable NOWHERE is not set; set it"),
        ("http: {token: {file: nowhere}}", "1: http.token.file: the secret cannot be read from"),
        ("http: {token: {fil: nowhere}}", "1: http.token: should be text or {file: path}"),
        ("http: {token: {file: empty}}", "1: http.token.file:"),
        ("http: {token: {file: latin}}", "1: http.token.file:"),
        ("http:\n  port: 1\n  port: 2", "3: http.port: is there twice, first in line 2; keep one"),
        ("http:\n\tport: 1", "2: is not YAML: found character '\\t' that cannot start any token; indent with spaces"),
        ("http: [", "1: is not YAML"),
        ("a: 1\n---\nb: 2", "2: is not YAML"),
        ("- a\n- b", "1: should hold settings"),
        ("just words", "1: should hold settings"),
        ("http: \x07", "1: holds a character that YAML does not allow"),
        ("http: !secret x", "1: http: a YAML tag is not understood here"),
        ("http: &a [*a]", "1: http.0: refers to itself"),
        (f"http: {'[' * 3_000}", ": is nested too deeply; no setting is"),
        (f"http: {'{a: ' * 3_000}{'}' * 3_000}", ": is nested too deeply; no setting is"),
        (
            f"platforms: {{loose: {{anything:\n {'[' * 100}{']' * 100}}}}}",
            f"2: platforms.loose.anything{'.0' * 18}: is nested",
        ),
        ("http: {<<: 5}", '1: http: "<<" should name a mapping'),
        ("? [a]\n: b", "1: a name should be plain text"),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_the_mend(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "latin").write_bytes(b"\xff\xfe\xfa")
    (line, *more) = mistakes(tmp_path, text)
    assert line.removeprefix("config.yaml:").startswith(expected.removeprefix(":"))
    assert CANARY not in "".join([line, *more])
    assert not any("is empty; give it a path" in other for other in more)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "limits:\n  attempts: 0\nplatforms:\n  web:\n    titel: x\nhttp:\n  prot: 1\n"
    found = mistakes(tmp_path, text, {"CHATELIER_HTTP__PORT": "x"})
    assert [re.split(r": ", line)[0] for line in found] == [
        "config.yaml:2",
        "config.yaml:5",
        "config.yaml:7",
        "CHATELIER_HTTP__PORT",
    ]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("CHATELIER_HTPP__PORT", "1", "names no setting; did you mean CHATELIER_HTTP__PORT?"),
        ("CHATELIER_ZZZ", "1", "names no setting; unset it"),
        ("CHATELIER_HTTP__PORT", "one", "http.port: should be a whole number"),
        ("CHATELIER_OPERATORS", "[a", "operators: is not YAML"),
        ("CHATELIER_PLATFORMS__TELEGRAM__TOKEN", "x", "platforms.telegram: "),
        ("CHATELIER_DATA_DIR", "", "data_dir: is empty; give it a path or leave it out"),
        ("CHATELIER_OPERATORS", "[" * 3_000, "operators: is nested too deeply"),
        ("CHATELIER_PLATFORMS__LOOSE__ANYTHING" + "__A" * 3_000, "x", "is nested too deeply"),
        ("CHATELIER_PLATFORMS__WEB__SERVERS__1__TOKEN", "x", "platforms.web.servers: should be a list"),
        ("CHATELIER_PLATFORMS__WEB__SERVERS__X__TOKEN", "x", "platforms.web.servers: should be a list"),
        ("CHATELIER_PLATFORMS__WEB__TITEL", "x", "names no setting; did you mean CHATELIER_PLATFORMS__WEB__TITLE?"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(name: str, text: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, MODELS, {name: text})
    assert str(caught.value).startswith(f"{name}: {expected}")
    assert len(str(caught.value).splitlines()) == 1


def test_a_section_whose_plugin_is_off_or_broken_is_a_problem_not_a_mistake(tmp_path: Path) -> None:
    text = "plugins: {off: [telegram]}\nplatforms:\n  telegram: {token: '${UNSET}'}\n  irc: {x: 1}\n"
    settings = read(tmp_path, text, broken={"irc": "no SDK"})
    assert [line.removeprefix(f"{tmp_path}/") for line in settings.problems] == [
        "config.yaml:3: platforms.telegram: not used, its plugin is off: plugins.off names it",
        "config.yaml:4: platforms.irc: not used, its plugin is broken: no SDK",
    ]


def test_a_plugin_that_is_off_and_not_there_is_a_problem(tmp_path: Path) -> None:
    text = "plugins:\n  off: [web,\n  webb, zzz]\n"
    settings = read(tmp_path, text, plugins=("web", "console"))
    assert [line.removeprefix(f"{tmp_path}/") for line in settings.problems] == [
        'config.yaml:3: plugins.off.1: there is no plugin "webb"; did you mean "web"?',
        'config.yaml:3: plugins.off.2: there is no plugin "zzz"; remove it',
    ]
    assert read(tmp_path, text).problems == ()


def test_a_section_of_an_extra_says_how_to_install_it_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "chatelier-9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: chatelier\nVersion: 9\nProvides-Extra: lacking\nProvides-Extra: present\n"
        'Requires-Dist: httpx\nRequires-Dist: pydantic<9,>=1; extra == "lacking"\n'
        'Requires-Dist: no-such-sdk[x]>=3; python_version > "3" and extra == "lacking"\n'
        "Requires-Dist: pyyaml>=1; extra == 'present'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = mistakes(tmp_path, "platforms:\n  lacking: {token: x}\n  present: {token: x}\n")
    assert found == [
        'config.yaml:2: platforms.lacking: its plugin is not installed; pip install "chatelier[lacking]"',
        'config.yaml:3: platforms.present: this version has no plugin "present"; remove the section',
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SettingsError, match=f"^{re.escape(str(path))}: cannot be read: "):
            load(path, MODELS, {})
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"http:\n  host: caf\xe9\n")
    with pytest.raises(SettingsError, match=r"latin\.yaml:2: is not UTF-8 text"):
        load(latin, MODELS, {})


@pytest.mark.parametrize(
    "text",
    [
        f"http: {{token: {CANARY}, port: {CANARY}}}",
        f"http: {{host: [{CANARY}]}}",
        f"http: {{token: *{CANARY}}}",
        f"http: {{token: !{CANARY}}}",
        f"http: {{token: [{CANARY}]}}",
        f"http: {{token: {{x: {CANARY}}}}}",
        f"platforms: {{web: {{accounts: {{a: {CANARY}}}, theme: {CANARY}, token: 5}}}}",
        "http: {port: '${SECRET}', public_url: '${SECRET}'}",
        f"http: '{CANARY}",
    ],
)
def test_no_mistake_shows_what_was_written(tmp_path: Path, text: str) -> None:
    found = mistakes(tmp_path, text, {"SECRET": CANARY, "CHATELIER_LIMITS__ATTEMPTS": CANARY})
    assert found
    assert CANARY not in "\n".join(found)


def test_secrets_are_not_in_the_text_of_the_settings_but_known_to_the_logs(tmp_path: Path) -> None:
    text = f"""
store: mongodb://user:{CANARY}-0@db/x
http: {{token: {CANARY}-1}}
platforms:
  web: {{token: {CANARY}-2, accounts: {{a: {{token: {CANARY}-3}}}}, servers: [{{token: {CANARY}-4}}]}}
"""
    settings = read(tmp_path, text)
    assert CANARY not in f"{settings!r} {settings} {settings.of('platforms.web', Web)!r}"
    assert settings.secrets() == {f"{CANARY}-{n}" for n in range(5)}


def test_a_section_without_defaults_says_what_it_needs() -> None:
    settings = load(None, {"platforms.needy": Needy}, {})
    with pytest.raises(SettingsError, match=r"platforms\.needy: not configured; it needs token"):
        settings.of("platforms.needy", Needy)


def test_a_section_is_read_with_the_model_it_was_checked_with() -> None:
    settings = Settings().with_sections({"platforms.web": Web(title="x")})
    assert settings.of("platforms.web", Web).title == "x"
    with pytest.raises(TypeError, match="registered as Web"):
        settings.of("platforms.web", Needy)


def test_which_plugins_to_load_is_known_before_their_settings_are(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("plugins: {off: [a], folder: mine}\nplatforms: {nobody: {x: 1}}\nhttp: {port: x}")
    plugins = load_plugin_settings(path, {"CHATELIER_PLUGINS__OFF": "b, c"})
    assert (plugins.off, plugins.folder) == (("b", "c"), tmp_path / "mine")
    path.write_text("plugins: {of: [a]}")
    with pytest.raises(SettingsError, match=r'plugins\.of: unknown setting; did you mean "off"'):
        load_plugin_settings(path, {})


def test_the_config_that_comes_with_chatelier_is_the_defaults() -> None:
    shipped = load(ROOT / "config.yaml", {}, {})
    assert shipped == Settings()
    assert not shipped.problems


def test_each_line_that_is_commented_out_in_it_is_right_too(tmp_path: Path) -> None:
    text = (ROOT / "config.yaml").read_text()
    names = re.findall(r"^ *#?([a-z_]+):", text, re.MULTILINE)
    known = [key for key in everywhere({}) if key[-1] != "plugins"]
    assert {str(key[-1]) for key in known} <= set(names)
    assert len(known) > 20
    secret = tmp_path / "secret"
    secret.write_text(CANARY)
    written = re.sub(r"^( *)#(\S)", r"\1\2", text, flags=re.MULTILINE).replace(
        "/run/secrets/console_token", str(secret)
    )
    settings = read(tmp_path, written, {"CHAT_PAGE_TOKEN": CANARY})
    assert settings.http.token.get_secret_value() == settings.http.console_token.get_secret_value() == CANARY


def test_the_page_of_all_settings_is_up_to_date() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page == render_page(own_models()), "run: python -m chatelier.core.settings.page > docs/configuration.md"
    assert page.count("\n| `") >= 20


def test_the_page_shows_each_setting_of_a_plugin() -> None:
    page = render_page({"platforms.web": Web})
    assert "## `platforms.web`\n\nThe chat page." in page
    for row in (
        "| `platforms.web.title` | text | `Atelier` | Name of the page. |",
        "| `platforms.web.theme` | `dark` or `light` | `dark` | Colours. |",
        "| `platforms.web.token` | secret | - | Secret of the page. |",
        "| `platforms.web.accounts` | mapping of settings | - | Named accounts. |",
        "| `platforms.web.accounts.<name>.token` | secret | **required** | Secret of the account. |",
        "| `platforms.web.servers.<n>.album` | whole number | `10` | Pictures an album. |",
        "| `platforms.web.tags` | list of text | `[a, b]` | Words \\| bars. |",
        "| `platforms.web.quiet` | true or false | `false` | Less to see. |",
        "| `platforms.web.ratio` | number or whole number | `1.5` | A number. |",
    ):
        assert row in page
    with pytest.raises(ValueError, match=r"platforms\.loose\.speed has no description"):
        render_page({"platforms.loose": Loose})


PATHS = st.sampled_from([key for key in everywhere(MODELS) if not any("<" in str(part) for part in key)])
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(st.dictionaries(PATHS.map(variable), TEXTS, max_size=4))
def test_whatever_the_environment_says_it_is_settings_or_lines_that_name_the_variables(environ: dict[str, str]) -> None:
    named: set[str] = set()
    try:
        load(None, MODELS, environ)
    except SettingsError as error:
        named = {line.split(":")[0] for line in str(error).split("\n")}
    assert named <= set(environ)


@given(TEXTS.filter(lambda text: not text.lstrip().startswith(("[", "{"))))
def test_a_text_of_the_environment_arrives_as_it_is(text: str) -> None:
    settings = load(None, MODELS, {"CHATELIER_PLATFORMS__WEB__TITLE": text, "CHATELIER_HTTP__TOKEN": text})
    assert settings.of("platforms.web", Web).title == settings.http.token.get_secret_value() == text
