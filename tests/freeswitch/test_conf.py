"""The configuration we ship: whole, escaped, closed, and parking what comes in.

That a real switch obeys it was tried by hand (see freeswitch/conf/README.md); here is what must not be lost
when somebody edits a template.
"""

import re
import stat
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.directory import DOMAIN
from freeswitch.conf import ConfError, ConfSettings, sign_of_life, sign_off, write_config
from freeswitch.conf.life import HERE, VARIABLE
from freeswitch.conf.render import render

NEEDED: dict[str, Any] = {
    "switchname": "fs-1",
    "event_socket_password": "correct horse",
    "controller_networks": ("192.0.2.0/28", "2001:db8::/64"),
    "carrier_ip": "198.51.100.7",
    "carrier_networks": ("203.0.113.0/24",),
    "inside_ip": "192.0.2.20",
    "inside_user": "controller",
    "inside_password": "battery staple",
    "recordings_dir": "/var/lib/irisx/recordings",
}


def settings(**changed: Any) -> ConfSettings:
    return ConfSettings(**(NEEDED | changed))


def tree(name: str, **changed: Any) -> ElementTree.Element:
    texts = {str(path): text for path, text in render(settings(**changed)).items()}
    return ElementTree.fromstring(texts[name])


def params(name: str, **changed: Any) -> list[tuple[str, str]]:
    return [(p.attrib["name"], p.attrib["value"]) for p in tree(name, **changed).iter("param")]


def actions(extension: str, name: str = "dialplan/carrier.xml", **changed: Any) -> list[tuple[str, str]]:
    found = tree(name, **changed).find(f"extension[@name='{extension}']/condition")
    assert found is not None
    return [(a.attrib["application"], a.attrib.get("data", "")) for a in found.iter("action")]


# Files


def test_every_file_is_whole_xml_without_placeholders(tmp_path: Path) -> None:
    written = write_config(tmp_path / "conf", settings(core_db="pgsql://host=db", fallback_message="/a.wav"))
    assert {path.relative_to(tmp_path / "conf") for path in written} == {Path(p) for p in render(settings())}
    for path in written:
        text = path.read_text()
        ElementTree.fromstring(text)
        assert "[[" not in text
        assert "]]" not in text


def test_every_include_meets_a_file_or_the_operators_folder(tmp_path: Path) -> None:
    written = set(write_config(tmp_path, settings()))
    included = set()
    for path in written:
        for target in re.findall(r'cmd="include" data="([^"]+)"', path.read_text()):
            place = (path.parent / target).resolve()
            assert (
                place in {p.resolve() for p in written} or place.parent == (tmp_path / "gateways").resolve()
            )
            assert place.parent.is_dir()
            included.add(place)
    assert {p.resolve() for p in written} - included == {(tmp_path / "freeswitch.xml").resolve()}


def test_the_preprocessor_sees_only_what_we_mean() -> None:
    # It works on lines: it drops one that holds <include> beside something else, and one that merely mentions it.
    for name, text in render(settings()).items():
        for line in text.splitlines():
            if "<include>" in line or "</include>" in line:
                assert line.strip() in ("<include>", "</include>"), name
            if "x-pre-process" in line.lower():
                assert re.fullmatch(r'\s*<X-PRE-PROCESS cmd="(set|include)" data="[^"&]+"/>', line), name
            assert "<!--#" not in line


def test_existing_files_are_not_touched_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "vars.xml").write_text("mine")
    with pytest.raises(FileExistsError, match=r"vars\.xml"):
        write_config(tmp_path, settings())
    assert [path.name for path in tmp_path.iterdir()] == ["vars.xml"]
    (tmp_path / "gateways").mkdir()
    (tmp_path / "gateways" / "trunk.xml").write_text("the operator's")
    write_config(tmp_path, settings(), force=True)
    assert "hold_music" in (tmp_path / "vars.xml").read_text()
    assert (tmp_path / "gateways" / "trunk.xml").read_text() == "the operator's"
    assert not list(tmp_path.rglob(".*"))


def test_files_are_for_owner_and_group_only(tmp_path: Path) -> None:
    for path in write_config(tmp_path / "conf", settings()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0
        assert stat.S_IMODE(path.parent.stat().st_mode) & 0o027 == 0


# Telephones

PHONES: dict[str, Any] = {
    "phones_ip": "198.51.100.7",
    "directory_url": "https://irisx.example/v1/nodes/node_1/directory",
    "directory_user": "node_1",
    "directory_password": "s3cret-of_this=",
}
OF_PHONES = {"sip_profiles/phones.xml", "dialplan/phones.xml", "autoload_configs/xml_curl.conf.xml"}


def test_a_switch_without_telephones_has_nothing_of_them() -> None:
    texts = {str(path): text for path, text in render(settings()).items()}
    assert not OF_PHONES & set(texts)
    assert not any("phones" in text or "xml_curl" in text for text in texts.values())


def test_a_switch_with_telephones_looks_them_up_and_parks_their_calls() -> None:
    texts = {str(path): text for path, text in render(settings(**PHONES)).items()}
    assert set(texts) >= OF_PHONES
    assert 'module="mod_xml_curl"' in texts["autoload_configs/modules.conf.xml"]
    binding = dict(params("autoload_configs/xml_curl.conf.xml", **PHONES))
    assert binding["gateway-url"] == PHONES["directory_url"]
    assert binding["gateway-credentials"] == "node_1:s3cret-of_this="
    assert binding["enable-cacert-check"] == binding["enable-ssl-verifyhost"] == "true"
    profile = dict(params("sip_profiles/phones.xml", **PHONES))
    assert profile["auth-calls"] == "true" and profile["accept-blind-reg"] == "false"
    assert profile["challenge-realm"] == profile["force-register-domain"] == DOMAIN
    assert profile["context"] == "phones"
    assert actions("controlled", "dialplan/phones.xml", **PHONES)[-1] == ("park", "")


def test_with_telephones_every_file_is_whole_and_met(tmp_path: Path) -> None:
    for path in write_config(tmp_path, settings(**PHONES)):
        ElementTree.fromstring(path.read_text())
        for target in re.findall(r'cmd="include" data="([^"]+)"', path.read_text()):
            assert "*" in target or (path.parent / target).resolve().exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"directory_url": ""},
        {"directory_password": ""},
        {"directory_password": "a b"},
        {"directory_password": "a$b"},
        {"directory_url": "ftp://x"},
        {"phones_ip": "phones.example"},
        {"phones_port": 5080},
    ],
)
def test_telephones_need_a_directory_that_can_be_asked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfError):
        settings(**PHONES | wrong)


# Escaping


@given(st.text(min_size=8, max_size=40))
def test_a_password_is_refused_or_arrives_unharmed(password: str) -> None:
    try:
        found = params("autoload_configs/event_socket.conf.xml", event_socket_password=password)
    except ConfError as refused:
        # Fixed words: nothing of the password is in them (a password may well be a part of the words).
        wants = ("free of control characters", "free of ${", "free of preprocessor directives")
        assert str(refused) in {f"event_socket_password must be {want}" for want in wants}
    else:
        assert ("password", password) in found


def test_a_value_cannot_bring_a_placeholder_or_markup() -> None:
    odd = "a\"b'c<d>&[[switchname]]&amp;-->"
    assert ("password", odd) in params("autoload_configs/event_socket.conf.xml", event_socket_password=odd)
    assert actions("alone", fallback_message="tone_stream://a'<&\"[[x]]")[3][1] == "tone_stream://a'<&\"[[x]]"


@pytest.mark.parametrize(
    "changed",
    [
        {"event_socket_password": "short"},
        {"event_socket_password": "line\nfeed and more"},
        {"event_socket_password": "$${hold_music}"},
        {"inside_password": "${destination_number}"},
        {"inside_password": '<X-Pre-Process cmd="exec"'},
        {"fallback_message": "say::$caller"},
        {"switchname": "two words"},
        {"switchname": ""},
        {"inside_user": "a@b"},
        {"event_socket_host": "localhost"},
        {"carrier_ip": "0.0.0.0"},
        {"inside_ip": "fe80::1%eth0"},
        {"media_ip": "nonsense"},
        {"controller_networks": ()},
        {"controller_networks": ("192.0.2.1/24",)},
        {"carrier_networks": ("192.0.2.1",)},
        {"carrier_port": 0},
        {"carrier_port": 5080},
        {"event_socket_port": 20000},
        {"rtp_first_port": 30000, "rtp_last_port": 31000},
        {"max_sessions": 0},
        {"sessions_per_second": 0},
        {"unclaimed_seconds": 0},
        {"max_call_seconds": 1},
        {"recordings_dir": "relative"},
        {"recordings_dir": "/with a blank"},
        {"recordings_dir": "/up/../and/away"},
        {"carrier_codecs": "PCMA, PCMU"},
        {"core_db": "mysql://x"},
    ],
)
def test_what_cannot_be_used_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ConfError, match=f"^({'|'.join(changed)}|inside_port) must be"):
        settings(**changed)


def test_refusal_also_holds_for_settings_read_from_a_file() -> None:
    assert msgspec.json.decode(msgspec.json.encode(settings()), type=ConfSettings) == settings()
    with pytest.raises(msgspec.ValidationError, match="switchname"):
        msgspec.json.decode(msgspec.json.encode(NEEDED | {"switchname": "a b"}), type=ConfSettings)


def test_secrets_stay_out_of_logs_and_the_digest_password_out_of_the_files() -> None:
    shown = repr(settings(core_db="pgsql://host=db password=pg-secret"))
    for secret in ("correct horse", "battery staple", "pg-secret"):
        assert secret not in shown
    assert not [name for name, text in render(settings()).items() if "battery staple" in text]


# Doors


def test_both_lists_deny_whoever_is_not_named() -> None:
    lists = {found.attrib["name"]: found for found in tree("autoload_configs/acl.conf.xml").iter("list")}
    assert {found.attrib["default"] for found in lists.values()} == {"deny"}
    named = {name: [(n.attrib["type"], n.attrib["cidr"]) for n in found] for name, found in lists.items()}
    assert named == {
        "irisx_controllers": [("allow", "192.0.2.0/28"), ("allow", "2001:db8::/64")],
        "irisx_carriers": [("allow", "203.0.113.0/24")],
    }
    assert not list(tree("autoload_configs/acl.conf.xml", carrier_networks=()).iterfind(".//list[2]/node"))


def test_the_event_socket_asks_for_address_and_password() -> None:
    found = params("autoload_configs/event_socket.conf.xml")
    assert ("apply-inbound-acl", "irisx_controllers") in found
    assert ("listen-ip", "127.0.0.1") in found
    assert ("password", "correct horse") in found


def test_carriers_come_in_by_address_only() -> None:
    found = params("sip_profiles/carrier.xml")
    assert ("apply-inbound-acl", "irisx_carriers") in found
    assert {("disable-register", "true"), ("disable-transfer", "true"), ("context", "carrier")} <= set(found)


def test_agents_legs_come_in_by_password_and_address_over_tcp() -> None:
    found = params("sip_profiles/inside.xml")
    wanted = {
        ("auth-calls", "true"),
        ("accept-blind-auth", "false"),
        ("bind-params", "transport=tcp"),
        ("context", "inside"),
        ("inbound-use-callid-as-uuid", "true"),
        ("send-display-update", "false"),
        ("apply-candidate-acl", "any_v4.auto"),
    }
    assert wanted <= set(found)
    # With auth-calls an address on such a list is let in without a password (mod_sofia/sofia.c).
    assert not [value for name, value in found if name == "apply-inbound-acl"]
    assert {tree("directory/inside.xml").attrib["name"]} == {v for n, v in found if n == "challenge-realm"}
    # md5("controller:irisx.inside:battery staple")
    assert params("directory/inside.xml") == [
        ("a1-hash", "6d239503accea5992b3a92f20e95ad23"),
        ("auth-acl", "irisx_controllers"),
    ]


def test_nothing_runs_commands_out_of_text() -> None:
    assert ("api-expansion", "false") in params("autoload_configs/switch.conf.xml")
    for name, text in render(settings()).items():
        assert not re.search(r"\$\{[^}]*[( ]", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)), name


def test_media_goes_where_it_is_sent_and_sip_stays_inside() -> None:
    assert {("sip-ip", "192.0.2.20"), ("rtp-ip", "192.0.2.20")} <= set(params("sip_profiles/inside.xml"))
    found = params("sip_profiles/inside.xml", media_ip="198.51.100.8", media_public_ip="203.0.113.9")
    wanted = {("sip-ip", "192.0.2.20"), ("rtp-ip", "198.51.100.8"), ("ext-rtp-ip", "203.0.113.9")}
    assert wanted <= set(found)
    assert "ext-sip-ip" not in dict(found)


# Calls


def test_a_call_is_parked_while_a_controller_lives() -> None:
    carrier = tree("dialplan/carrier.xml")
    assert [found.attrib["name"] for found in carrier] == ["controlled", "alone"]
    condition = carrier.find("extension/condition")
    assert condition is not None
    assert condition.attrib == {"field": f"${{{VARIABLE}}}", "expression": f"^{HERE}"}
    steps = actions("controlled", unclaimed_seconds=17, max_call_seconds=7200)
    assert [name for name, _ in steps] == ["multiset", "sched_hangup", "park"]
    assert "irisx_unclaimed=+17 NORMAL_TEMPORARY_FAILURE" in steps[0][1].split("|")
    assert "api_on_answer_irisx_3=sched_hangup +7200 ${uuid} ALLOTTED_TIMEOUT" in steps[0][1].split("|")
    assert steps[1][1] == "${irisx_unclaimed}"


def test_a_call_is_refused_when_none_does() -> None:
    assert actions("alone")[-1] == ("respond", "503 No Controller")
    assert [name for name, _ in actions("alone")] == ["multiset", "respond"]
    spoken = actions("alone", fallback_message="/sounds/closed.wav")
    assert spoken[1:] == [
        ("pre_answer", ""),
        ("sleep", "300"),
        ("playback", "/sounds/closed.wav"),
        ("respond", "503 No Controller"),
    ]


def test_the_sign_of_life_is_not_given_by_the_configuration_itself() -> None:
    # A first value would come back with every reloadxml and silence a living controller.
    assert not [name for name, text in render(settings()).items() if f"{VARIABLE}=" in text]


def test_an_agents_leg_is_answered_and_parked_with_its_timeout_set_before() -> None:
    steps = actions("agent", "dialplan/inside.xml", agent_media_timeout=9)
    assert [name for name, _ in steps] == ["multiset", "answer", "park"]
    assert steps[0][1] == "^^|irisx_side=agent|media_timeout=9000"
    for probe in ("echo", "tone"):
        assert actions(probe, "dialplan/inside.xml")[0][1].endswith("|media_timeout=20000")


def test_a_sign_of_life_is_left_to_expire_before_it_is_given() -> None:
    expire, give = sign_of_life("node-1.57", expire_seconds=12)
    assert expire == f"sched_api +12 {VARIABLE} global_setvar {VARIABLE}=gone=here-node-1.57"
    assert give == f"global_setvar {VARIABLE}=here-node-1.57"
    assert sign_off("node-1.57") == f"global_setvar {VARIABLE}=gone=here-node-1.57"
    for bad in ("", "a=b", "a b", "a\nb", "x" * 65):
        with pytest.raises(ValueError, match="token"):
            sign_of_life(bad)
        with pytest.raises(ValueError, match="token"):
            sign_off(bad)
    with pytest.raises(ValueError, match="second"):
        sign_of_life("a", expire_seconds=0)


# Databases


def test_a_shared_database_brings_its_driver_and_forbids_the_local_file() -> None:
    address = "pgsql://hostaddr=192.0.2.5 dbname=fs user=fs password='a&b'"
    found = params("autoload_configs/switch.conf.xml", core_db=address)
    assert {("core-db-dsn", address), ("core-non-sqlite-db-required", "true")} <= set(found)
    modules = tree("autoload_configs/pre_load_modules.conf.xml", core_db=address).iter("load")
    assert [module.attrib["module"] for module in modules] == ["mod_pgsql"]
    assert not [name for name, _ in params("autoload_configs/switch.conf.xml") if name.startswith("core-")]
    assert ("profile-standby", "true") in params("sip_profiles/carrier.xml", standby=True)
    assert ("track-calls", "true") in params("sip_profiles/carrier.xml")
