"""The findings ``policy-impact``: what a change of policies would close, when applied and when taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.kubernetes.policies.impact import Comparison
from ferryman.kubernetes.policies.manifests import World, proposal, staged
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.kubernetes.client import ClusterClient
    from ferryman.kubernetes.policies.impact import Loss
    from ferryman.kubernetes.policies.manifests import Located, Proposal

CHECK = "policy-impact"
NOT_JUDGED = "policy-not-judged"
WANTED = "a change that closes nothing that is open now"
_WHOLE = "policies that are judged whole"


def impact_findings(
    name: str,
    client: ClusterClient,
    files: Sequence[Located],
    *,
    remove: Sequence[str] = (),
    staged_names: Sequence[str] = (),
) -> Iterator[Finding]:
    """What files, removed policies and staged ones would close in a cluster.

    What the change itself closes fails. What is open only because of it, and so is closed when it is taken
    back, is a warning; so is what deleting the files' policies closes that the cluster had before them.

    Raises:
        UsageError: A policy of the files cannot be read, or a name is of none that the cluster has.
        ClusterUnreadableError: The cluster could not be asked.
    """
    now = World(client.policies(), client.namespaces())
    meant = [*files, *staged(now, staged_names)]
    proposed = proposal(now, meant, remove)
    yield from _beside(name, proposed)
    pods, nodes = client.pods(), client.nodes()
    applied = Comparison(now, proposed.after, pods, nodes)
    for remark in dict.fromkeys(each for policies in applied.policies for each in policies.remarks):
        yield Finding(NOT_JUDGED, name, Verdict.WARN, remark, _WHOLE)
    closed = [_applied(name, loss) for loss in applied.losses()]
    yield from closed
    if not closed:
        yield Finding(
            CHECK, name, Verdict.PASS, f"nothing of {len(pods)} pods that is open now is closed", WANTED
        )
    for loss in Comparison(proposed.after, now, pods, nodes).losses():
        yield _taken_back(name, loss, "when the change is taken back, which is open only because of it")
    if proposed.replaces:
        how = f"when it is taken back by deleting {', '.join(proposed.replaces)}, which the cluster has now"
        for loss in Comparison(now, proposed.deleted, pods, nodes).losses():
            yield _taken_back(name, loss, how)


def _beside(name: str, proposed: Proposal) -> Iterator[Finding]:
    if proposed.ignored:
        words = f"{', '.join(proposed.ignored)}: no policy"
        yield Finding(NOT_JUDGED, name, Verdict.SKIP, words, _WHOLE)
    for each in proposed.not_judged:
        yield Finding(
            NOT_JUDGED,
            name,
            Verdict.UNKNOWN,
            f"{each}: says who reaches whom, and is of a kind that is not judged",
            _WHOLE,
            "leave it out of the files, and judge by hand what it closes",
        )


def _applied(name: str, loss: Loss) -> Finding:
    remedy = (
        "allow it in the change itself, or choose fewer pods: a policy that is about a pod closes it to"
        " everything that no rule allows"
        if loss.known
        else "judge by hand what is not judged here, as the findings beside it say"
    )
    verdict = Verdict.FAIL if loss.known else Verdict.UNKNOWN
    return Finding(CHECK, name, verdict, _words(loss), WANTED, remedy)


def _words(loss: Loss) -> str:
    walk = loss.walkthrough
    end = "from" if loss.direction == "ingress" else "to"
    return f"{loss}; for example {walk.sent} {end} {walk.other}: {walk}"


def _taken_back(name: str, loss: Loss, how: str) -> Finding:
    return Finding(
        CHECK,
        name,
        Verdict.WARN,
        f"{how}: {_words(loss)}",
        WANTED,
        "before it is taken back, see who uses this by then, and judge that with ferryman policy impact too",
    )
