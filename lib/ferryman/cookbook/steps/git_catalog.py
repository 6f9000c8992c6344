"""The change in a catalog that people review: a commit on a branch, and the wait until it is merged."""

from __future__ import annotations

import shlex
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from ferryman.catalog import Flipped, Proposal, Rescheduled, ReviewStatus, TakenBack
from ferryman.cookbook.steps.review import (
    CHECK,
    branch_of,
    delete_command,
    how_to_merge,
    require_merged,
    wait_for_merge,
)
from ferryman.engine.steps import Change, NoChange, Report
from ferryman.errors import InventoryError, RefusedError, VerifyError, WorldChangedError
from ferryman.model import Edit, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.catalog import CatalogEdit, GitCatalog
    from ferryman.cookbook.context import Ferry
    from ferryman.directors import SetScheduler
    from ferryman.model import Service


class ReviewBefore(TypedDict):
    """The service's entry as the base has it; what others do to other services does not matter."""

    entry: str
    branch: str
    """Where the change is, or will be, proposed."""


@dataclass(frozen=True)
class ReviewedEdit(Change[ReviewBefore]):
    """The catalog that people review says {edit}.

    ``do`` proposes and ``verify`` waits; ``undo`` proposes the revert, and ``diff_after_undo`` waits for it:
    there the operator can interrupt a wait, and progress is reported.
    """

    ferry: Ferry
    service: Service

    @property
    @abstractmethod
    def edit(self) -> CatalogEdit:
        """The one change of the catalog that this step makes."""

    def check(self, report: Report) -> ReviewBefore | NoChange:
        """Read the base, and make sure that a commit can be proposed on top of it."""
        catalog, proposal = self._catalog, self._proposal
        self._refresh(report)
        if self.ferry.resumed:
            proposal.adopt(self._trailer)
        if proposal.commit is None:
            self._require_tree_up_to_date()
        base = catalog.base()  # once: without a remote, people may merge between two reads of it
        if catalog.says(base, self.edit):
            return NoChange(f"{catalog.base_name} says so already", own=proposal.commit is not None)
        if proposal.commit is None:
            catalog.require_identity()
            catalog.require_writable()
            proposal.require_free()
        seen = f"the change goes on the branch {proposal.branch}; then: {how_to_merge(proposal)}"
        report.finding(Finding(CHECK, catalog.base_name, Verdict.PASS, seen, "a change that people review"))
        return ReviewBefore(entry=catalog.entry(base, self.service.name), branch=proposal.branch)

    def edits(self, before: ReviewBefore) -> Sequence[Edit]:
        """The diff, the commit with its message, and the push."""
        catalog = self._catalog
        committed = self._committed(branch_of(before["branch"]), self._proposal.edited.diff)
        return [*committed, *([self._push_of(branch_of(before["branch"]))] if catalog.config.push else [])]

    def cannot_tell_before(self, before: ReviewBefore) -> str | None:
        """A fetch, where there is a remote: what the base is by then, a dry run does not ask."""
        del before
        catalog = self._catalog
        if not (self.ferry.dry_run and catalog.config.remote):
            return None
        return f"{catalog.base_name} is fetched: this is on top of the last fetch ({catalog.base()[:12]})"

    def _committed(self, branch: str, diff: str) -> list[Edit]:
        """The diff, and the commit with its message."""
        catalog = self._catalog
        message = "\n".join(f"    {line}".rstrip() for line in self._message(self.edit).splitlines())
        made = shlex.join(["git", "branch", branch, catalog.base_name])
        commit = f"{made}, with a commit of the diff above:\n{message}"
        return [
            Edit("catalog", str(catalog.git.folder / catalog.path), diff=diff),
            Edit("catalog", str(catalog.git.folder), command=commit),
        ]

    def _push_of(self, branch: str) -> Edit:
        command = shlex.join(["git", "push", self._catalog.config.remote, branch])
        return Edit("catalog", str(self._catalog.git.folder), command=command)

    def do(self, before: ReviewBefore) -> Sequence[Edit]:
        """Propose it, unless that was done; people decide whether it is merged."""
        catalog, proposal = self._catalog, self._proposal
        made: list[Edit] = []
        if proposal.commit is None:
            if catalog.entry(catalog.base(), self.service.name) != before["entry"]:
                raise WorldChangedError(
                    f"{catalog.base_name}: someone else changed {self.service.name} since it was read; "
                    "nothing was proposed; run again"
                )
            made += self._committed(branch_of(before["branch"]), proposal.edited.diff)
            proposal.propose(self._message(self.edit))
        elif self._is_merged_by_now(proposal):
            return made
        if catalog.config.push and not proposal.was_pushed:
            made.append(self._push_of(branch_of(before["branch"])))
        proposal.offer()
        return made

    def verify(self, report: Report) -> None:
        """Wait until it is merged, and check that what was merged is what was meant."""
        # A run that began its rollback, and goes on after all, may have left its revert on offer.
        self._warn_of_left_on_offer(report, self._revert)
        if self._proposal.commit is None:
            self._refresh(report)
            if not self._says_so:
                raise VerifyError(f"{self._where} does not say {self.edit}, and nothing was proposed")
        else:
            wait_for_merge(self._proposal, report, again=f"ferryman resume {self.ferry.run_id}")
        self._fast_forward(report)

    def verify_again(self, before: ReviewBefore, report: Report) -> None:
        """Check that the base still says what was meant, without waiting."""
        del report
        catalog, proposal = self._catalog, self._proposal_on(branch_of(before["branch"]))
        if proposal.commit is not None:
            require_merged(proposal, proposal.look())
        else:
            catalog.refresh()
        if not self._says_so:
            raise VerifyError(f"{self._where} ({catalog.base()[:12]}) does not say {self.edit} any more")

    def undo(self, before: ReviewBefore) -> Sequence[Edit]:
        """Withdraw what is not merged; propose the revert of what is."""
        catalog, proposal = self._catalog, self._proposal_on(branch_of(before["branch"]))
        catalog.refresh()
        if proposal.commit is None:
            return ()
        error, made = (None, []) if proposal.was_merged else self._withdrawn(proposal)
        catalog.refresh()  # until now it could be merged
        if self._says_so:
            return [*made, *self._propose_revert(branch_of(before["branch"]))]
        if error is not None:
            raise error
        if not proposal.was_merged:
            proposal.forget()
        return made

    def require_undoable(self, before: ReviewBefore, report: Report) -> None:
        """Check that the base can be read, and that a revert can be made on top of it."""
        del report
        catalog, proposal = self._catalog, self._proposal_on(branch_of(before["branch"]))
        catalog.refresh()
        if proposal.commit is None or not self._says_so:
            return
        back = self._revert_on(branch_of(before["branch"]))
        try:
            catalog.edited(catalog.base(), back.edit)
        except InventoryError as error:
            raise RefusedError(f"{self._where}: {self.edit}: cannot be taken back: {error}") from error
        if back.commit is None:
            catalog.require_identity()
            back.require_free()

    def effect_seen(self, before: ReviewBefore | None, report: Report) -> str | None:
        """Whether this run's proposal is merged, or can be."""
        del report
        catalog = self._catalog
        proposal = self._proposal_on(branch_of(before["branch"]) if before else self._branch)
        catalog.refresh()
        proposal.adopt(self._trailer)
        if proposal.commit is None:
            return None
        if self._says_so:
            return f"{self._where}: says {self.edit}, by {proposal.branch}"
        if proposal.left_on_offer():
            return f"{catalog.base_name}: {proposal.branch} is on offer, and can be merged"
        return None

    def undo_edits(self, before: ReviewBefore) -> Sequence[Edit]:
        """The commands that revert it through review, or delete its branch."""
        catalog, branch = self._catalog, branch_of(before["branch"])
        remote = catalog.config.remote
        if not self._proposal_on(branch).was_merged and not self._says_so:
            return self._withdrawal(before)
        back = self._revert_on(branch).branch
        commands = [
            shlex.join(["git", "fetch", remote]) if remote else "",
            shlex.join(["git", "switch", "--no-track", "-c", back, catalog.base_name]),
            *self._taken_back_by_hand(branch),
            shlex.join(["git", "push", remote, "HEAD"]) if remote else "",
            f"and have {back} merged into {catalog.config.base}",
        ]
        return self._as_edits(commands)

    def _withdrawal(self, before: ReviewBefore) -> list[Edit]:
        branch, config = branch_of(before["branch"]), self._catalog.config
        push = shlex.join(["git", "push", config.remote, "--delete", branch]) if config.push else ""
        return self._as_edits([push, delete_command(branch)])

    def _as_edits(self, commands: Sequence[str]) -> list[Edit]:
        folder = str(self._catalog.git.folder)
        return [Edit("catalog", folder, command="\n".join(filter(None, commands)))]

    def diff_after_undo(self, before: ReviewBefore, report: Report) -> str | None:
        """Wait until the revert is merged, where there is one; what others edited stays."""
        catalog, back = self._catalog, self._revert_on(branch_of(before["branch"]))
        proposal = self._proposal_on(branch_of(before["branch"]))
        catalog.refresh()
        if self._says_so:
            if back.commit is None:
                return self._not_proposed_back(proposal, report)
            if catalog.config.push and not back.was_pushed:
                return f"{self._where}: still says {self.edit}: {back.branch} was not pushed"
            wait_for_merge(back, report, again=f"ferryman rollback {self.ferry.run_id}")
        self._warn_of_left_on_offer(report, proposal)
        self._fast_forward(report)
        return None

    def _taken_back_by_hand(self, branch: str) -> list[str]:
        """The commands, on a branch of its own, that take the edit back and commit that."""
        commit = self._proposal_on(branch).commit
        if self.edit.by_hand:
            commit_it = ["git", "commit", "-m", self.edit.subject_back, str(self._catalog.path)]
            return [self.edit.by_hand, shlex.join(commit_it)]
        path = shlex.quote(str(self._catalog.path))
        return [f"git revert {commit}" if commit else f"edit {path}; git commit"]

    @property
    def _catalog(self) -> GitCatalog:
        return self.ferry.git_catalog

    @property
    def undo_first(self) -> bool:
        """Whether others follow the catalog: their rollback needs the catalog restored first."""
        return self.ferry.follow_the_catalog(self.service)

    @property
    def _proposal(self) -> Proposal:
        return self._proposal_on(self._branch)

    def _proposal_on(self, branch: str) -> Proposal:
        """The proposal on that branch: the before's, whatever the configuration calls branches by now."""
        return Proposal(self._catalog, self.edit, branch)

    @property
    def _revert(self) -> Proposal:
        return self._revert_on(self._branch)

    def _revert_on(self, branch: str) -> Proposal:
        commit = self._proposal_on(branch).commit
        before = self._catalog.content(f"{commit}^" if commit else self._catalog.base())
        return Proposal(self._catalog, TakenBack(self.edit, before), f"{branch}-revert")

    @property
    def _branch(self) -> str:
        name, site = self.service.name, self.service.site
        return self._catalog.config.branch.format(service=name, site=site, run=self.ferry.run_id)

    @property
    def _where(self) -> str:
        return f"{self._catalog.base_name}:{self._catalog.path}: {self.service.name}"

    @property
    def _says_so(self) -> bool:
        """Whether the base, as of the last fetch, is already as the edit makes it."""
        return self._catalog.says(self._catalog.base(), self.edit)

    @property
    def _trailer(self) -> str:
        return f"Ferryman-Run: {self.ferry.run_id}"

    def _message(self, edit: CatalogEdit) -> str:
        """The commit's message: which run, service, site, and why."""
        name, site, request = self.service.name, self.service.site, self.ferry.request
        forward = not isinstance(edit, TakenBack)
        why = (
            request.reason
            if forward
            else f"The run {self.ferry.run_id} rolls back: this takes its change out again."
        )
        trailers = [
            self._trailer if forward else f"Ferryman-Way-Back: {self.ferry.run_id}",
            f"Service: {name}",
            f"Site: {site}",
            f"Task: {request.task}" if request.task else "",
            f"Operator: {request.operator}" if request.operator else "",
        ]
        return "\n\n".join(filter(None, [edit.subject, why, "\n".join(filter(None, trailers))])) + "\n"

    def _refresh(self, report: Report) -> None:
        """Fetch the base; a dry run asks no remote, and says so."""
        catalog = self._catalog
        if not self.ferry.dry_run:
            catalog.refresh()
        elif catalog.config.remote:
            seen = f"as of the last fetch ({catalog.base()[:12]}): a dry run asks no remote"
            report.finding(Finding(CHECK, catalog.base_name, Verdict.SKIP, seen, "fetched"))

    def _is_merged_by_now(self, proposal: Proposal) -> bool:
        """Whether nothing is left to offer; pushed again, a branch that was deleted would reappear."""
        if proposal.was_pushed or not self._catalog.config.push:
            return False
        self._catalog.refresh()
        return self._says_so

    def _require_tree_up_to_date(self) -> None:
        """Make sure that the working tree, which the inventory is from, has the service as in the base."""
        catalog, name = self._catalog, self.service.name
        if catalog.entry_in_tree(name) != catalog.entry(catalog.base(), name):
            words = ["git", "-C", str(catalog.git.folder), "diff", catalog.base_name, "--", str(catalog.path)]
            shown = shlex.join(words)
            raise RefusedError(
                f"{catalog.file}: {name} is not as {catalog.base_name} has it: the clone is behind, or has "
                f"edits of its own; {shown} shows them; git pull, or put the edits away with git stash"
            )

    def _withdrawn(self, proposal: Proposal) -> tuple[WorldChangedError | None, list[Edit]]:
        """Withdraw it; what others have put on its branch does not stop the rest of the rollback."""
        catalog, branch = self._catalog, proposal.branch
        push = (
            shlex.join(["git", "push", catalog.config.remote, "--delete", branch])
            if proposal.was_pushed
            else ""
        )
        local = delete_command(branch) if catalog.here(f"refs/heads/{branch}") else ""
        try:
            proposal.withdraw()
        except WorldChangedError as error:
            return error, []
        return None, self._as_edits([push, local]) if push or local else []

    def _propose_revert(self, branch: str) -> list[Edit]:
        back, config, made = self._revert_on(branch), self._catalog.config, []
        if back.commit is not None and back.look().status is ReviewStatus.GONE:
            back.withdraw()  # turned down once, and asked for again
            back.forget()
        if back.commit is None:
            back.propose(self._message(back.edit))
            branch_it = shlex.join(["git", "branch", back.branch, self._catalog.base_name])
            made.append(f"{branch_it}, and: {back.edit.subject}")
        if config.push and not back.was_pushed:
            made.append(shlex.join(["git", "push", config.remote, back.branch]))
        back.offer()
        return self._as_edits(made) if made else []

    def _not_proposed_back(self, proposal: Proposal, report: Report) -> str | None:
        if proposal.commit is not None:
            return f"{self._where}: still says {self.edit}, and its revert was not proposed"
        seen = f"says {self.edit} by someone else's change"
        report.finding(
            Finding(CHECK, self._catalog.base_name, Verdict.WARN, seen, "nothing of this run", "see who did")
        )
        return None

    def _warn_of_left_on_offer(self, report: Report, proposal: Proposal) -> None:
        """Warn of a branch that nobody wants any more, and people can still merge."""
        if proposal.commit is None or proposal.was_merged or not proposal.left_on_offer():
            return
        seen, remedy = f"{proposal.branch} is still on offer", f"delete the branch {proposal.branch}"
        wanted = "nobody can merge it by mistake"
        report.finding(Finding(CHECK, self._catalog.base_name, Verdict.WARN, seen, wanted, remedy))

    def _fast_forward(self, report: Report) -> None:
        """Have the working tree, and the agents that run from now on, follow the base; warn where not."""
        catalog = self._catalog
        self.ferry.memory.catalog_revision = catalog.base()
        if self.ferry.dry_run or (why := catalog.fast_forward()) is None:
            return
        seen = f"the working tree was left as it is: {why}"
        wanted = f"as {catalog.base_name} has it, before the next run"
        pull = shlex.join(["git", "-C", str(catalog.git.folder), "pull"])
        remedy = f"{pull}, on {catalog.config.base}"
        report.finding(Finding("catalog-tree", str(catalog.git.folder), Verdict.WARN, seen, wanted, remedy))


@dataclass(frozen=True)
class CatalogMerged(ReviewedEdit):
    """The catalog that people review says IPIP for {service.name} at {service.site}."""

    @property
    def edit(self) -> CatalogEdit:
        """The site put into the service's list of sites on IPIP."""
        return Flipped(self.service.name, self.service.site)


@dataclass(frozen=True)
class ReschedulingMerged(ReviewedEdit):
    """The catalog that people review says scheduler {target} for {service.name}."""

    target: SetScheduler

    @property
    def edit(self) -> CatalogEdit:
        """Scheduler and flags of the service, at all its sites."""
        return Rescheduled(self.service.name, self.service.site, self.target.scheduler, self.target.flags)
