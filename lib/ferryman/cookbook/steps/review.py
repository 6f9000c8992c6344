"""Waiting for people: until a proposal is merged, and what it means when it is not."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman import retry
from ferryman.catalog import ReviewStatus
from ferryman.errors import ArgumentError, DoubtError, UnreachableError, VerifyError
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from ferryman.catalog import Proposal, ReviewState
    from ferryman.engine.steps import Report

_NO_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|^[-/.]|\.\.|@\{|//|[/.]$|\.lock$")
"""What no branch's name has in it (git-check-ref-format(1)); at its beginning an option would."""

CHECK = "catalog-review"
"""The id of every finding about a proposal."""


def wait_for_merge(proposal: Proposal, report: Report, *, again: str) -> None:
    """Ask every ``catalog.poll`` seconds until the base says what was meant; report what changes.

    A remote that cannot be asked for a while is waited for too. ``again`` is the command that waits on.

    Raises:
        VerifyError: Something else was merged, or the proposal was turned down.
        DoubtError: ``catalog.merge_timeout`` is over.
    """
    config, wait = proposal.catalog.config, _Wait(proposal, report)
    state = retry.poll_until(
        wait.look,
        lambda state: state is not None and state.status is not ReviewStatus.WAITING,
        within_s=config.merge_timeout,
        every_s=config.poll,
    )
    if state is None or state.status is ReviewStatus.WAITING:
        raise DoubtError(
            f"{wait.where}: not merged into {wait.base_name} within {config.merge_timeout:g} seconds"
            f"{f': {wait.trouble}' if wait.trouble else ''}; {how_to_merge(proposal)}; "
            f"{again} goes on waiting"
        )
    require_merged(proposal, state)
    wait.report_finding(Verdict.PASS, f"merged: {wait.base_name} ({state.base[:12]}) has it")


def how_to_merge(proposal: Proposal) -> str:
    """The sentence that says what people do next to have the proposal merged."""
    catalog, branch = proposal.catalog, proposal.branch
    config, where = catalog.config, shlex.join(["git", "-C", str(catalog.git.folder)])
    if not config.remote:
        named = shlex.quote(branch)
        return f"review it: {where} show {named}; then, on {config.base}: git merge {named}"
    if config.push:
        return f"review {branch} at {config.remote}, and merge it into {config.base}"
    return f"{where} push {config.remote} {branch}; then review it there, and merge it into {config.base}"


def require_merged(proposal: Proposal, state: ReviewState) -> None:
    """Make sure that a proposal was merged, and that the base says of its service nothing else.

    Raises:
        VerifyError: Something else was merged, or it was taken back, or turned down.
    """
    base = f"{proposal.catalog.base_name} ({state.base[:12]})"
    where = f"{proposal.catalog.git.folder}: {proposal.branch}"
    if state.status is ReviewStatus.OTHERWISE:
        raise VerifyError(
            f"{where}: what {base} now says of {proposal.service} is not what was meant; see who "
            f"merged what:\n{state.difference}"
        )
    if state.status is ReviewStatus.TAKEN_BACK:
        raise VerifyError(
            f"{where}: was merged and taken back: {base} is as it was before; see who did, and why"
        )
    if state.status is ReviewStatus.GONE:
        raise VerifyError(f"{where}: the branch was deleted, and {base} does not have it: was it rejected?")


@dataclass(slots=True)
class _Wait:
    """What the last look found, so that only changes are reported."""

    proposal: Proposal
    report: Report
    base: str = ""
    trouble: str = ""

    @property
    def where(self) -> str:
        return f"{self.proposal.catalog.git.folder}: {self.proposal.branch}"

    @property
    def base_name(self) -> str:
        return self.proposal.catalog.base_name

    def look(self) -> ReviewState | None:
        """Ask how far the proposal is; None when the remote could not be asked."""
        try:
            state = self.proposal.look()
        except UnreachableError as error:
            if not self.trouble:
                self.report_finding(Verdict.WARN, f"cannot be asked, and is waited for: {error}")
            self.trouble = str(error)
            return None
        if state.status is ReviewStatus.WAITING:
            self._report_progress(state)
        self.base, self.trouble = state.base, ""
        return state

    def report_finding(self, verdict: Verdict, seen: str) -> None:
        """Report one finding about the proposal; a warning says what people do next."""
        host, wanted = self.proposal.catalog.base_name, f"{self.proposal.branch} merged"
        remedy = how_to_merge(self.proposal) if verdict is Verdict.WARN else ""
        self.report.finding(Finding(CHECK, host, verdict, seen, wanted, remedy))

    def _report_progress(self, state: ReviewState) -> None:
        commit = (self.proposal.commit or "")[:12]
        if not self.base:
            self.report_finding(Verdict.WARN, f"waiting for {self.proposal.branch} ({commit}) to be merged")
        elif self.trouble:
            self.report_finding(Verdict.WARN, "can be asked again; still waiting")
        elif state.base != self.base:
            self.report_finding(
                Verdict.WARN, f"moved on to {state.base[:12]} by other changes; still waiting"
            )


def delete_command(branch: str) -> str:
    """The command that deletes a branch of the clone, for people to type."""
    return shlex.join(["git", "branch", "-D", branch])


def branch_of(recorded: object) -> str:
    """The branch that was recorded in the journal.

    Raises:
        ArgumentError: It is none: somebody else wrote there.
    """
    if not isinstance(recorded, str) or not recorded or _NO_BRANCH.search(recorded):
        raise ArgumentError(
            f"a branch out of the journal is {recorded!r:.80}, which is no name of a branch; see who wrote "
            "there; git was not asked"
        )
    return recorded
