"""Each style that a catalog may be written in: the lines before, and with codfw flipped."""

from __future__ import annotations

import json

import pytest

from ferryman.catalog.flip import Encapsulation, encapsulated, flip
from ferryman.catalog.yaml_edit.change import unified_diff
from ferryman.errors import InventoryError

HEAD = """\
service::catalog:
  api:
    sites: &everywhere [codfw]
    lvs: {enabled: true}
  web:
"""
FOOT = """\
  zoo:  # the last one
    sites: [codfw]
    lvs: {enabled: true}
"""


def marked(lines: str) -> tuple[str, str]:
    """A catalog without the lines that begin with ``+``, and one without those that begin with ``-``.

    Every other line begins with a space; so do the lines of a diff, and so the cases read.
    """
    kept = lines.removeprefix("\n").splitlines(keepends=True)
    assert all(line[0] in " +-\n" for line in kept)
    before, after = (
        "".join(line[1:] if line != "\n" else line for line in kept if line[0] != sign) for sign in "+-"
    )
    return f"{HEAD}{before}{FOOT}", f"{HEAD}{after}{FOOT}"


def flipped(text: str, to: Encapsulation, service: str = "web", site: str = "codfw") -> str:
    return flip(text.encode(), service, site, to).decode()


ABSENT = {
    "below the scheduler, as the sites are written": """
     lvs:
       enabled: true
       scheduler: mh  # T1
+      ipip_encapsulation:
+        - codfw
       # why
       class: low-traffic
     sites:
       - codfw
""",
    "below the scheduler's flag, dashes under the key": """
     lvs:
       scheduler: mh
       scheduler_flag: [mh-port,
          mh-fallback]
+      ipip_encapsulation:
+      - "codfw"
       class: low-traffic
     sites:
     - "codfw"
""",
    "below the last key, behind all that is in it": """
     sites:
        -   'codfw'
     lvs:
       monitors:
         ProxyFetch:
           url:
             - http://x/
+      ipip_encapsulation:
+         -   'codfw'
             # one more later

     # the end
""",
    "as a flow list where the sites are one": """
     sites: [ 'codfw', 'eqiad' ]
     lvs:
       scheduler: wrr
+      ipip_encapsulation: [ 'codfw' ]
""",
    "where keys are quoted": """
     "sites": ["codfw"]
     "lvs":
       "scheduler": "wrr"
+      "ipip_encapsulation": ["codfw"]
""",
    "above a text in block style, never in it": """
     sites: [codfw]
     lvs:
       enabled: true
+      ipip_encapsulation: [codfw]
       note: |+
         ipip_encapsulation: [eqiad]

""",
    "beside a merge key": """
     sites: [codfw]
     defaults: &defaults
       enabled: true
     lvs:
       <<: *defaults
+      ipip_encapsulation: [codfw]
""",
    "in an anchored mapping whose users have a flag of their own": """
     sites: [codfw]
     lvs: &lvs
       enabled: true
+      ipip_encapsulation: [codfw]
     other:
       <<: *lvs
       ipip_encapsulation: []
""",
    "as other flags are where the service's own sites are no model": """
     sites: *everywhere
     lvs:
       enabled: true
+      ipip_encapsulation:
+       -  codfw
   sun:
     lvs:
       ipip_encapsulation:
        -  eqiad
""",
    "with letters of many bytes before it": """
     description: Übersetzung 🚢
     sites: [codfw]
     lvs:
       class: größer  # 🚢
+      ipip_encapsulation: [codfw]
""",
    "in a flow mapping of one line": """
     sites: [codfw]
-    lvs: {enabled: true, class: low-traffic}  # short
+    lvs: {enabled: true, class: low-traffic, ipip_encapsulation: [codfw]}  # short
""",
    "in a flow mapping with spaces": """
     sites: [ codfw ]
-    lvs: { enabled: true , class: low-traffic }
+    lvs: { enabled: true , class: low-traffic , ipip_encapsulation: [ codfw ] }
""",
    "in a flow mapping with a comma at its end": """
     sites: [codfw]
-    lvs: {enabled: true, class: low-traffic,}
+    lvs: {enabled: true, class: low-traffic, ipip_encapsulation: [codfw],}
""",
    "in an empty flow mapping": """
     sites: [codfw]
-    lvs: {}
+    lvs: {ipip_encapsulation: [codfw]}
""",
}


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["no BOM", "BOM"])
@pytest.mark.parametrize("lines", ABSENT.values(), ids=ABSENT)
def test_an_absent_flag_is_written_and_the_rollback_restores_every_byte(lines: str, mark: str) -> None:
    before, after = (mark + text for text in marked(lines))
    assert flipped(before, "ipip") == after
    assert flipped(after, "direct") == before


GROWN = {
    "a block list": """
     sites: [codfw, eqiad]
     lvs:
       ipip_encapsulation:  # sites on IPIP
+        - codfw
         # the second one
         - eqiad  # T1
         # - esams later

       class: x
""",
    "a block list under its key, with wide gaps": """
     sites: [codfw, eqiad]
     lvs:
       ipip_encapsulation:
       - 'esams'
       -   "eqiad"
+      -   "codfw"
       class: x
""",
    "an anchored block list that nobody else uses": """
     sites: [codfw, eqiad]
     lvs:
       ipip_encapsulation: &mine
+        - codfw
         - eqiad
""",
    "a block list between two": """
     sites: [drmrs, codfw, eqiad]
     lvs:
       ipip_encapsulation:
         - 'drmrs'  # T1
+        - 'codfw'
         # T2
         - "eqiad"
""",
    "a flow list, first": """
     sites: [codfw, eqiad]
     lvs:
-      ipip_encapsulation: [ eqiad ]
+      ipip_encapsulation: [ codfw, eqiad ]
""",
    "a flow list, between two": """
     sites: [drmrs, codfw, eqiad]
     lvs:
-      ipip_encapsulation: ['drmrs','eqiad']
+      ipip_encapsulation: ['drmrs','codfw','eqiad']
""",
    "a list that has an order of its own": """
     sites: [codfw, drmrs, eqiad]
     lvs:
-      ipip_encapsulation: [eqiad, drmrs]
+      ipip_encapsulation: [eqiad, drmrs, codfw]
""",
    "a flow list": """
     sites: [codfw]
     lvs:
-      ipip_encapsulation: [eqiad]  # T1
+      ipip_encapsulation: [eqiad, codfw]  # T1
""",
    "a flow list without spaces": """
     sites: [codfw]
     lvs:
-      ipip_encapsulation: ['esams','eqiad']
+      ipip_encapsulation: ['esams','eqiad','codfw']
""",
    "a flow list with many spaces": """
     sites: [codfw]
     lvs:
-      ipip_encapsulation:   [  esams ,  eqiad  ]
+      ipip_encapsulation:   [  esams ,  eqiad ,  codfw  ]
""",
    "a flow list with a comma at its end": """
     sites: [codfw]
     lvs:
-      ipip_encapsulation: [ eqiad, ]
+      ipip_encapsulation: [ eqiad, codfw, ]
""",
    "a flow list inside a flow mapping": """
     sites: [codfw]
-    lvs: {ipip_encapsulation: [eqiad], enabled: true}
+    lvs: {ipip_encapsulation: [eqiad, codfw], enabled: true}
""",
}


@pytest.mark.parametrize("lines", GROWN.values(), ids=GROWN)
def test_a_site_is_put_where_the_sites_have_it_and_the_rollback_restores_every_byte(lines: str) -> None:
    before, after = marked(lines)
    assert flipped(before, "ipip") == after
    assert flipped(after, "direct") == before


FILLED = {
    "[]": ("[]", "[codfw]"),
    "[ ]": ("[ ]", "[codfw ]"),
    "~": ("~  # none", "[codfw]  # none"),
    "null": ("null", "[codfw]"),
    "no value": ("", "[codfw]"),
    "no value, a comment": ("   # none", "[codfw]   # none"),
    "an anchored nothing": ("&none", "&none [codfw]"),
}


@pytest.mark.parametrize(("empty", "full"), FILLED.values(), ids=FILLED)
def test_an_empty_flag_is_filled_in_its_place(empty: str, full: str) -> None:
    lines = "    sites: [codfw]\n    lvs:\n      ipip_encapsulation:{}\n      class: x\n"
    before = HEAD + lines.format(f" {empty}" if empty and not empty.startswith(" ") else empty) + FOOT
    assert flipped(before, "ipip") == HEAD + lines.format(f" {full}") + FOOT


SHRUNK = {
    "a block list, its first": """
     sites: [codfw]
     lvs:
       ipip_encapsulation:
         # the first one
-        - codfw  # T1
         - eqiad  # T2
""",
    "a flow list, its first": """
     sites: [codfw]
     lvs:
-      ipip_encapsulation: [ codfw, eqiad ]
+      ipip_encapsulation: [ eqiad ]
""",
    "a flow list, one in the middle": """
     sites: [codfw]
     lvs:
-      ipip_encapsulation: [esams, codfw, eqiad]
+      ipip_encapsulation: [esams, eqiad]
""",
    "the only one, with its key": """
     sites: [codfw]
     lvs:
       class: x
-      ipip_encapsulation:
         # the first one
-        - codfw  # T1

       # more
       enabled: true
""",
    "the only one of a flow mapping, with its key": """
     sites: [codfw]
-    lvs: {ipip_encapsulation: [codfw], enabled: true}
+    lvs: {enabled: true}
""",
    "the only one, whose key has a comment": """
     sites: [codfw]
     lvs:
-      ipip_encapsulation:  # see T1
-        - codfw
+      ipip_encapsulation: []  # see T1
       enabled: true
""",
    "the only one, whose anchored list has a comment": """
     sites: [codfw]
     lvs:
-      ipip_encapsulation: &mine  # see T1
-        - codfw
+      ipip_encapsulation: &mine []  # see T1
       enabled: true
""",
    "the only one of a flow list with a comment": """
     sites: [codfw]
     lvs:
-      ipip_encapsulation: [codfw]  # see T1
+      ipip_encapsulation: []  # see T1
       enabled: true
""",
    "the only one, where a text above would take the blank line below": """
     sites: [codfw]
     lvs:
       note: |+
         ipip_encapsulation: [codfw]
-      ipip_encapsulation: [codfw]
+      ipip_encapsulation: []

       enabled: true
""",
    "the only one of the only key": """
     sites: [codfw]
     lvs:
-      ipip_encapsulation:
-        - codfw
+      ipip_encapsulation: []
""",
    "the only one, where a merge key would bring another list": """
     sites: [codfw]
     lvs:
       <<: &old {ipip_encapsulation: [eqiad]}
-      ipip_encapsulation: [codfw]
+      ipip_encapsulation: []
""",
    "an inherited one": """
     sites: [codfw]
     old: &old {ipip_encapsulation: [esams, codfw]}
     lvs:
       <<: *old
+      ipip_encapsulation: [esams]
""",
    "an inherited only one": """
     sites: [codfw]
     old: &old {ipip_encapsulation: [codfw]}
     lvs:
       <<: *old
+      ipip_encapsulation: []
""",
    "an alias, whose other users keep theirs": """
     sites: &all [codfw]
     lvs:
       enabled: true
-      ipip_encapsulation: *all
""",
    "an alias of more, whose other users keep theirs": """
     sites: &all [codfw, eqiad]
     lvs:
       enabled: true
-      ipip_encapsulation: *all  # T1
+      ipip_encapsulation: [eqiad]  # T1
""",
    "an alias with a comment": """
     sites: &all [codfw]
     lvs:
       enabled: true
-      ipip_encapsulation: *all  # T1
+      ipip_encapsulation: []  # T1
""",
}


@pytest.mark.parametrize("lines", SHRUNK.values(), ids=SHRUNK)
def test_a_site_is_taken_out(lines: str) -> None:
    before, after = marked(lines)
    assert flipped(before, "direct") == after
    assert not encapsulated(after.encode(), "web", "codfw")


def test_an_alias_gets_a_list_of_its_own_that_has_one_more() -> None:
    before, after = marked("""
     sites: [codfw]
     old: &old ['eqiad']
     lvs:
-      ipip_encapsulation: *old
+      ipip_encapsulation: [eqiad, codfw]
""")
    assert flipped(before, "ipip") == after


def test_an_empty_list_is_filled_in_the_quotes_of_the_sites() -> None:
    before, after = marked("""
     sites: ["codfw"]
     lvs:
-      ipip_encapsulation: []
+      ipip_encapsulation: ["codfw"]
""")
    assert flipped(before, "ipip") == after


def test_an_inherited_list_gets_one_of_its_own_that_has_one_more() -> None:
    before, after = marked("""
     sites: [codfw]
     old: &old {ipip_encapsulation: [eqiad]}
     lvs:
       <<: *old
+      ipip_encapsulation: [eqiad, codfw]
""")
    assert flipped(before, "ipip") == after


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_missing_line_break_at_the_end_stays_missing(end: str) -> None:
    before = f"service::catalog:\n  web:\n    sites: [eqiad, codfw]\n    lvs:\n      class: x{end}"
    with_codfw = f"{before.removesuffix(end)}\n      ipip_encapsulation: [codfw]{end}"
    assert flipped(before, "ipip") == with_codfw
    assert flipped(with_codfw, "direct") == before
    listed = f"{before.removesuffix(end)}\n      ipip_encapsulation:\n      - eqiad{end}"
    both = f"{listed.removesuffix(end)}\n      - codfw{end}"
    assert flipped(listed, "ipip") == both
    assert flipped(both, "direct") == listed
    assert flipped(listed, "direct", site="eqiad") == before


def test_a_new_flag_is_not_put_behind_a_text_that_ends_the_file() -> None:
    before = (
        "service::catalog:\n  web:\n    sites: [codfw]\n    lvs:\n      a: x\n      note: |\n        text\n"
    )
    after = before.replace("a: x\n", "a: x\n      ipip_encapsulation: [codfw]\n")
    assert flipped(before, "ipip") == after


@pytest.mark.parametrize(
    ("site", "item"), [("no", "'no'"), ("1e3", "1e3"), ("a: b", "'a: b'"), ("it's", "'it''s'"), ("7", "'7'")]
)
def test_a_site_is_quoted_where_plain_would_mean_something_else(site: str, item: str) -> None:
    before = f"service::catalog:\n  web:\n    lvs: {{a: 1}}\n    sites:\n      - codfw\n      - {item}\n"
    after = flipped(before, "ipip", site=site)
    assert after == before.replace("a: 1", f"a: 1, ipip_encapsulation: [{item}]")


def test_what_is_already_so_is_not_touched() -> None:
    text = f"{HEAD}    sites: [codfw]\n    lvs: {{ipip_encapsulation: [codfw]}}\n{FOOT}"
    assert flipped(text, "ipip") == text
    assert flipped(text, "direct", "zoo") == text


def test_a_site_that_the_service_has_left_can_be_taken_out() -> None:
    text = f"{HEAD}    sites: [eqiad]\n    lvs: {{ipip_encapsulation: [codfw], a: 1}}\n{FOOT}"
    assert "lvs: {a: 1}" in flipped(text, "direct")


def test_aliases_of_aliases_cost_nothing() -> None:
    levels = "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]\n" for n in range(1, 30))
    text = f"b0: &b0 [x]\n{levels}{HEAD}    sites: [codfw]\n    lvs: {{a: 1}}\n{FOOT}"
    assert encapsulated(flipped(text, "ipip").encode(), "web", "codfw")


REFUSED = {
    "a yes for all sites": (
        "    lvs:\n      ipip_encapsulation: true\n",
        "services.yaml:8: web: lvs.ipip_encapsulation: is true, expected a list of site names",
    ),
    "a name and no list": ("    lvs: {ipip_encapsulation: codfw}\n", "is 'codfw', expected a list of site"),
    "a list of something else": ("    lvs: {ipip_encapsulation: [1]}\n", "is the list [1], expected a list"),
    "a site twice": (
        "    lvs: {ipip_encapsulation: [codfw, codfw]}\n",
        "names codfw twice, expected each site once; take one out by hand",
    ),
    "no lvs": ("    port: 80\n", "services.yaml:5: web: has no lvs section"),
    "an lvs that is nothing": ("    lvs:\n", "has no lvs section"),
    "an lvs that is an alias": (
        "    x: &lvs {a: 1}\n    lvs: *lvs\n",
        "services.yaml:8: web: lvs: is an alias (*lvs), so that others would change with it; write out lvs",
    ),
    "an lvs that others use": (
        "    lvs: &lvs {a: 1}\n  sun:\n    lvs: *lvs\n",
        "(&lvs of line 7 is used on line 9); set lvs.ipip_encapsulation of web to [codfw] by hand",
    ),
    "an lvs that others merge": (
        "    lvs: &lvs {a: 1}\n  sun:\n    lvs: {<<: *lvs}\n",
        "sun: lvs would change with it (&lvs of line 7 is used on line 9)",
    ),
    "a list that others use": (
        "    lvs: {ipip_encapsulation: &s [eqiad]}\n  sun: {lvs: {ipip_encapsulation: *s}}\n",
        "sun: lvs.ipip_encapsulation would change with it (&s of line 7 is used on line 8)",
    ),
    "an lvs that comes by a merge key": (
        "    <<: &old {lvs: {a: 1}}\n",
        "web: lvs: comes through a merge key (<<), so that others would change with it",
    ),
    "keys with question marks": (
        "    lvs:\n      ? a\n      : 1\n",
        "no key of it stands at the start of a line",
    ),
    "items below their dashes": (
        "    lvs:\n      ipip_encapsulation:\n        -\n          eqiad\n",
        "an item of the list does not stand on a line of its own behind its dash",
    ),
    "an lvs in braces on more lines than one": (
        "    lvs: {\n      class: x,  # low\n    }\n",
        "web: lvs: not edited: {…} on more than one line (lines 7 to 9); set lvs.ipip_encapsulation of web",
    ),
    "a list in brackets on more lines than one": (
        "    lvs:\n      ipip_encapsulation: [esams,\n        eqiad]\n",
        "(lines 8 to 9); set lvs.ipip_encapsulation of web to [esams, eqiad, codfw] by hand",
    ),
    "a list in brackets with a comment": (
        "    lvs:\n      ipip_encapsulation: [  # none yet\n      ]\n",
        "services.yaml:8: web: lvs.ipip_encapsulation: not edited: […] on more than one line (lines 8 to 9)",
    ),
    "a carriage return in the entry": (
        "    lvs:\r\n      class: x\n",
        "services.yaml:5: web: not edited: its lines end in CR LF or CR, expected LF alone; sed -i 's/\\r$",
    ),
    "a key said twice": ("    lvs: {a: 1}\n    lvs: {a: 1}\n", "services.yaml:8: web: lvs: stands twice"),
    "no YAML": ("    lvs: {\n", "is not YAML"),
}


@pytest.mark.parametrize(("lines", "says"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_small_and_safe_edit_is_refused_with_the_line_and_what_to_do(
    lines: str, says: str
) -> None:
    with pytest.raises(InventoryError) as caught:
        flipped(f"{HEAD}    sites: [codfw]\n{lines}{FOOT}", "ipip")
    assert says in str(caught.value)


def test_a_site_is_not_taken_out_of_a_list_on_more_lines_than_one() -> None:
    text = f"{HEAD}    sites: [codfw]\n    lvs:\n      ipip_encapsulation: [\n        codfw,\n      ]\n{FOOT}"
    with pytest.raises(InventoryError) as caught:
        flipped(text, "direct")
    assert "lines 8 to 10); set lvs.ipip_encapsulation of web to [] by hand" in str(caught.value)


def test_an_entry_in_braces_on_more_lines_than_one_is_refused() -> None:
    text = f'{HEAD}    {{"sites": ["codfw"],\n     "lvs": {{"enabled": true}}}}\n{FOOT}'
    with pytest.raises(InventoryError) as caught:
        flipped(text, "ipip")
    assert str(caught.value).startswith("services.yaml:5: web: not edited: {…} on more than one line")


@pytest.mark.parametrize("ending", ["\r\n", "\r"], ids=["CRLF", "CR"])
def test_line_ends_other_than_lf_are_refused_and_still_read(ending: str) -> None:
    text = f"{HEAD}    sites: [codfw]\n    lvs: {{a: 1}}\n{FOOT}".replace("\n", ending)
    with pytest.raises(InventoryError, match="its lines end in CR LF or CR, expected LF alone; sed -i"):
        flipped(text, "ipip")
    assert flipped(text, "direct") == text
    assert not encapsulated(text.encode(), "web", "codfw")


def test_json_is_refused_and_still_read() -> None:
    entry = {"sites": ["codfw"], "lvs": {"enabled": True, "ipip_encapsulation": ["codfw"]}}
    text = json.dumps({"service::catalog": {"web": entry}})
    with pytest.raises(InventoryError) as caught:
        flipped(text, "direct")
    says = "services.yaml:1: not edited: the whole file is one {…}, as JSON is; set lvs.ipip_encapsulation of"
    assert str(caught.value) == f"{says} web to [] by hand"
    assert encapsulated(text.encode(), "web", "codfw")


def test_line_ends_and_braces_of_another_entry_stop_nobody() -> None:
    others = "  sun: {lvs: {\n    a: 1}}\r\n"
    before = f"{HEAD}    sites: [codfw]\n    lvs: {{a: 1}}\n{others}{FOOT}"
    assert flipped(before, "ipip") == before.replace(
        "    lvs: {a: 1}\n", "    lvs: {a: 1, ipip_encapsulation: [codfw]}\n", 1
    )


@pytest.mark.parametrize(
    ("service", "site", "says"),
    [
        ("wbe", "codfw", "services.yaml:1: service::catalog: no service is called 'wbe', did you mean web?"),
        ("web", "codwf", "services.yaml:6: web: sites: the service is not at codwf, did you mean codfw?"),
    ],
)
def test_what_is_not_in_the_catalog_is_refused(service: str, site: str, says: str) -> None:
    with pytest.raises(InventoryError) as caught:
        flipped(f"{HEAD}    sites: [codfw]\n    lvs: {{a: 1}}\n{FOOT}", "ipip", service, site)
    assert str(caught.value).startswith(says)


def test_an_item_that_is_anchored_and_used_elsewhere_is_not_taken_out() -> None:
    text = f"{HEAD}    lvs: {{ipip_encapsulation: [eqiad, &here codfw]}}\n    sites: [*here]\n{FOOT}"
    with pytest.raises(InventoryError, match="the result would not be readable"):
        flipped(text, "direct")


def test_a_diff_has_the_files_name_and_says_when_the_last_line_is_cut() -> None:
    lines = unified_diff(b"a\nb", b"a\nb\n", "services.yaml").splitlines()
    assert lines[:3] == ["--- a/services.yaml", "+++ b/services.yaml", "@@ -1,2 +1,2 @@"]
    assert lines[3:] == [" a", "-b", "\\ No newline at end of file", "+b"]
    assert unified_diff(b"a\n", b"a\n", "services.yaml") == ""
