"""What each keyword of ssh_config(5) means to ferryman: taken, of no effect here, or told.

What would change where, through whom or as whom a host is connected to, and is not taken, is told for the
hosts that it is about. So is a keyword that is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ACCUMULATED = frozenset({"identityfile", "certificatefile"})
"""Keywords of which every line counts; of any other the first."""
TAKEN = ACCUMULATED | {
    "globalknownhostsfile",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "port",
    "proxycommand",
    "proxyjump",
    "user",
    "userknownhostsfile",
}

_NO_EFFECT = """
addkeystoagent batchmode canonicaldomains canonicalizefallbacklocal canonicalizemaxdots
canonicalizepermittedcnames challengeresponseauthentication channeltimeout checkhostip clearallforwardings
compression connectionattempts connecttimeout controlmaster controlpath controlpersist dynamicforward
enableescapecommandline enablesshkeysign escapechar exitonforwardfailure fingerprinthash
forkafterauthentication forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports
gssapiauthentication gssapiclientidentity gssapidelegatecredentials gssapikexalgorithms gssapikeyexchange
gssapirenewalforcesrekey gssapiserveridentity gssapitrustdns hashknownhosts hostbasedacceptedalgorithms
hostbasedauthentication hostbasedkeytypes ignoreunknown ipqos kbdinteractiveauthentication
kbdinteractivedevices keepalive localcommand localforward loglevel logverbose
nohostauthenticationforlocalhost numberofpasswordprompts obscurekeystroketiming passwordauthentication
permitlocalcommand permitremoteopen proxyusefdpass rekeylimit remotecommand remoteforward requesttty
securitykeyprovider sendenv serveralivecountmax serveraliveinterval sessiontype setenv skeyauthentication
stdinnull streamlocalbindmask streamlocalbindunlink stricthostkeychecking syslogfacility tag tcpkeepalive
tunnel tunneldevice updatehostkeys usekeychain verifyhostkeydns versionaddendum visualhostkey warnweakcrypto
xauthlocation
"""
"""About terminals, forwarding, passwords, environment or time; or they would trust more than ferryman does,
which takes no unknown host key, whatever ``StrictHostKeyChecking`` says."""
NO_EFFECT = frozenset(_NO_EFFECT.split())

ALGORITHMS = frozenset(
    {
        "casignaturealgorithms",
        "ciphers",
        "hostkeyalgorithms",
        "kexalgorithms",
        "macs",
        "pubkeyacceptedalgorithms",
        "pubkeyacceptedkeytypes",
    }
)
HARMLESS = {
    "addressfamily": {"any"},
    "bindaddress": {"none"},
    "canonicalizehostname": {"no", "false"},
    "knownhostscommand": {"none"},
    "pkcs11provider": {"none"},
    "pubkeyauthentication": {"yes", "true", "unbound", "host-bound"},
    "revokedhostkeys": {"none"},
}
"""Keywords that are told unless they say this."""


def changes_nothing(keyword: str, arguments: Sequence[str]) -> bool:
    """Whether a line that is not taken leaves how hosts are connected to as it is."""
    if keyword in NO_EFFECT:
        return True
    said = [argument.lower() for argument in arguments]
    if keyword in ALGORITHMS:
        return bool(said) and said[0].startswith(("+", "^"))  # allows more than ferryman asks for
    if keyword == "preferredauthentications":
        return "publickey" in ",".join(said).split(",")
    if keyword == "requiredrsasize":
        return bool(said) and said[0].isdecimal() and int(said[0][:5]) <= 2048  # noqa: PLR2004  # what all keys have
    return bool(said) and said[0] in HARMLESS.get(keyword, ())
