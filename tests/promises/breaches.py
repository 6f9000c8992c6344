"""The safeguards, and the smallest edit that takes each away."""

from __future__ import annotations

from dataclasses import dataclass

UNIT = "tests/unit"
MEANWHILE = f"{UNIT}/engine/test_others_meanwhile.py"


@dataclass(frozen=True, slots=True)
class Breach:
    """One safeguard, and the edit of the code that takes it away."""

    promise: str
    file: str
    """Under ``lib/ferryman``."""
    there: str
    """What stands there now, once."""
    instead: str
    tests: str
    """Where the test is that must turn red."""


BREACHES = [
    Breach(
        "everything is checked before anything is changed",
        "engine/runner.py",
        "        preflight.judge()\n",
        "",
        f"{UNIT}/engine/test_perform.py",
    ),
    Breach(
        "the intent is on disk before the change is made",
        "engine/execute.py",
        '    run.mark("intent", place, intent(run.plan.titles[place], pending.before, pending.edits))\n'
        "    doubt = _do(run, place, change, pending)\n",
        "    doubt = _do(run, place, change, pending)\n"
        '    run.mark("intent", place, intent(run.plan.titles[place], pending.before, pending.edits))\n',
        f"{UNIT}/engine/test_resume.py",
    ),
    Breach(
        "a commit is forced to disk",
        "state/sqlite/database.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        f"{UNIT}/state/test_sqlite.py",
    ),
    Breach(
        "a journal that cannot be written stops the run",
        "engine/event_log.py",
        "                if not self._journal_may_fail:\n                    raise\n",
        "",
        f"{UNIT}/engine/test_perform.py",
    ),
    Breach(
        "what was put back is looked at again",
        "engine/rollback.py",
        "        if differs is None:\n            return\n",
        "        return\n",
        f"{UNIT}/engine/test_rollback.py",
    ),
    Breach(
        "what others follow goes back first",
        "engine/rollback.py",
        "(not run.plan.change(place).undo_first, -place)",
        "-place",
        f"{UNIT}/engine/test_rollback.py",
    ),
    Breach(
        "the lock must still be ours before each change",
        "engine/execute.py",
        "    run.lease.require()\n    run.mark(",
        "    run.mark(",
        f"{UNIT}/engine/test_perform.py",
    ),
    Breach(
        "and still when it was written down and told",
        "engine/execute.py",
        "        run.lease.require()  # again:",
        "        #",
        f"{UNIT}/engine/test_perform.py",
    ),
    Breach(
        "and before each step of the rollback",
        "engine/rollback.py",
        "            _require_owned(run, waiting[0])\n",
        "",
        f"{UNIT}/engine/test_rollback.py",
    ),
    Breach(
        "one run has a lock",
        "state/store.py",
        "        if theirs:\n            raise BusyError(",
        "        if not theirs and run == run + run:\n            raise BusyError(",
        f"{UNIT}/state/test_locks.py",
    ),
    Breach(
        "a run that was taken over is not written by its old process",
        "state/sqlite/store.py",
        "        if entry is None or entry.owner != self.owner:\n",
        "        if entry is None:\n",
        f"{UNIT}/state/test_sqlite.py",
    ),
    Breach(
        "in etcd neither: the fence is in the same transaction",
        "state/etcd/store.py",
        "        return [created_in(self._keys.alive(owned.entry.id), owned.fence), *locks]\n",
        "        return []\n",
        "tests/lab/etcd/test_taken_over.py",
    ),
    Breach(
        "in etcd a lock is taken only as it was read",
        "state/etcd/store.py",
        "self._client.commit([*compares, *self._fence(owned)], puts)",
        "self._client.commit(self._fence(owned), puts)",
        "tests/lab/etcd/test_races.py",
    ),
    Breach(
        "a lease that ended is noticed without asking anybody",
        "state/etcd/store.py",
        "self.clock.monotonic() >= owned.deadline - self._margin_s:",
        "self.clock.monotonic() >= owned.deadline + 1000:",
        "tests/lab/etcd/test_taken_over.py",
    ),
    Breach(
        "a journal that is silent for a third of the lease stops what the run is doing",
        "engine/lease.py",
        "            self._report(self._silence)\n",
        "",
        f"{UNIT}/engine/test_lease.py",
    ),
    Breach(
        "a loss that was noticed stops the next change though the journal is back",
        "engine/lease.py",
        "        if self._silence is not None and not self._rolling_back:\n",
        "        if self._overdue and not self._rolling_back:\n",
        f"{UNIT}/engine/test_lease.py",
    ),
    Breach(
        "records that do not follow the journal are not put into it",
        "state/spool.py",
        "        if any(stored_rows.get(_number(row)) != row for row in known):\n            return None\n",
        "",
        f"{UNIT}/state/test_spool.py",
    ),
    Breach(
        "what was spooled is known before anything is looked at",
        "engine/runner.py",
        "        if left := self.store.replay_spool(run.id):\n",
        "        if left := str():\n",
        f"{UNIT}/engine/test_event_log.py",
    ),
    Breach(
        "a command of an earlier holder does nothing",
        "hosts/fence.py",
        '[ "$seen" -le {self.token} ] || exit {OVERTAKEN}\n',
        "",
        f"{UNIT}/hosts/test_fence.py",
    ),
    Breach(
        "and one that has begun is waited for",
        "hosts/fence.py",
        "flock -w {WAIT_S} 9 || exit {OCCUPIED}\n",
        "",
        f"{UNIT}/hosts/test_fence.py",
    ),
    Breach(
        "a damaged record is not acted upon",
        "state/records.py",
        "sound=checksum == _checksum(chain_head, fields)",
        "sound=True",
        f"{UNIT}/state/test_sqlite.py",
    ),
    Breach(
        "a record cut off at the end is missed",
        "state/records.py",
        "    if not _are_all_there(entry, rows):\n",
        "    if False:\n",
        f"{UNIT}/state/test_sqlite.py",
    ),
    Breach(
        "what somebody else changed meanwhile is not overwritten",
        "engine/execute.py",
        "    if isinstance(now, NoChange) or now != pending.before:\n",
        "    if isinstance(now, NoChange):\n",
        f"{UNIT}/engine/test_perform.py",
    ),
    Breach(
        "a catalog that somebody else edited is not overwritten",
        "catalog/file.py",
        "        if now == expected:\n            return True\n",
        "        return True\n",
        f"{UNIT}/catalog/test_file.py",
    ),
    Breach(
        "a dry run cannot write the catalog",
        "catalog/file.py",
        "        if self._dry_run:\n",
        "        if self._dry_run and expected == after:\n",
        f"{UNIT}/catalog/test_file.py",
    ),
    Breach(
        "a signal lets the change under way finish first",
        "engine/run_context.py",
        "        with self.signals.uninterruptible():\n",
        "        with self.signals.interruptible():\n",
        f"{UNIT}/engine/test_signals.py",
    ),
    Breach(
        "a changed plan is told",
        "engine/resume.py",
        "    if plan.fingerprint != entry.fingerprint and not accept_changed_plan:\n",
        "    if False and accept_changed_plan:\n",
        f"{UNIT}/engine/test_resume.py",
    ),
    Breach(
        "a closed port is no good answer",
        "probe/classify.py",
        "    return Judgement(syn, ProbeVerdict.REFUSED, detail=",
        "    return Judgement(syn, ProbeVerdict.ACCEPTED, detail=",
        f"{UNIT}/probe",
    ),
    Breach(
        "an MSS that does not fit the tunnel is told",
        "probe/classify.py",
        "    if effective > syn.mss_limit:\n",
        "    if effective > 65535:\n",
        f"{UNIT}/probe",
    ),
    Breach(
        "an answer must come from where it was asked",
        "probe/fast_path.py",
        " or syn.flow.reply != reply:",
        ":",
        f"{UNIT}/probe",
    ),
    Breach(
        "one bad pod behind a node is not outvoted by the good ones",
        "probe/aggregate.py",
        "        if _RANK[verdict] > _RANK[self._worst]:\n",
        "        if _RANK[verdict] < _RANK[self._worst]:\n",
        f"{UNIT}/probe",
    ),
    Breach(
        "what the probes left half open is closed",
        "probe/session.py",
        "        half_open = deque(syn for syn in self._syns if syn.half_open)\n",
        "        half_open = deque[Syn]()\n",
        f"{UNIT}/probe",
    ),
    Breach(
        "the watch is heeded while the run waits",
        "engine/watch.py",
        "                self._run.signals.alarm(error)\n",
        "                pass\n",
        f"{UNIT}/engine/test_watch.py",
    ),
    Breach(
        "a filter that drops is named by its counter",
        "diagnosis/causes.py",
        "    if finding is None and drops:\n",
        "    if finding is None and drops < 0:\n",
        f"{UNIT}/diagnosis",
    ),
    Breach(
        "what is persisted is judged, not only what is so now",
        "realservers/checks/registry.py",
        '    "rp-filter-persisted": rp_filter_persisted,\n',
        "",
        f"{UNIT}/realservers",
    ),
    Breach(
        "every director must let the service through its own gate",
        "directors/checks/settings.py",
        "    if director.ipip_enabled:\n",
        "    if True:\n",
        f"{UNIT}/directors/test_checks.py",
    ),
    Breach(
        "a hook that fails or hangs stops nothing",
        "hooks/notifier.py",
        "        wait(self._at_work.values(), timeout=self.limit_s)\n",
        "        [each.result() for each in self._at_work.values()]\n",
        f"{UNIT}/hooks/test_notifier.py",
    ),
    Breach(
        "a silence is never wider than what the run works on",
        "hooks/alertmanager.py",
        ' or given == "":\n',
        ":\n",
        f"{UNIT}/hooks/test_alertmanager.py",
    ),
    Breach(
        "a secret URL is never told",
        "hooks/web.py",
        '            text = text.replace(piece, "…")\n',
        "            pass\n",
        f"{UNIT}/hooks/test_web.py",
    ),
    Breach(
        "what does not follow is held, and not judged by its verify",
        "engine/execute.py",
        "    except NotFollowedError:\n        raise\n",
        "",
        f"{UNIT}/engine/test_perform.py",
    ),
    Breach(
        "a director that lags is a doubt, and no failure that goes back by itself",
        "directors/keepalived/driver.py",
        "        if not following:\n",
        "        if True:\n",
        f"{UNIT}/directors/test_keepalived.py",
    ),
    Breach(
        "what a reload did to other services is seen",
        "directors/checks/other_services.py",
        "    worse = [*_gone(then, now), *_other(then, now)]\n",
        "    worse = [*_gone(then, now)]\n",
        f"{UNIT}/directors/test_other_services.py",
    ),
    Breach(
        "what was merged is compared with what was meant",
        "catalog/review/proposal.py",
        '        if now != entry(f"{commit}^", self.service):\n'
        "            return ReviewStatus.OTHERWISE, difference\n",
        "",
        f"{UNIT}/catalog/test_git_proposal.py",
    ),
    Breach(
        "a change that nothing undoes needs a word from the operator",
        "cookbook/steps/directors.py",
        "        if not self.ferry.irreversible_accepted:\n",
        "        if False:\n",
        f"{UNIT}/cookbook/test_directors_step.py",
    ),
    Breach(
        "a catalog that others follow goes back before them",
        "cookbook/steps/catalog.py",
        "        return self.ferry.follow_the_catalog(self.service)\n",
        "        return False\n",
        f"{UNIT}/cookbook/test_following_steps.py",
    ),
    Breach(
        "an agent that failed on one host of many is told",
        "management/remote_agent.py",
        "    if failed:\n",
        "    if False:\n",
        f"{UNIT}/management",
    ),
    Breach(
        "a run's end is looked at, not remembered",
        "engine/execute.py",
        "    verify_at_the_end(run)\n",
        "",
        MEANWHILE,
    ),
    Breach(
        "what stands is looked at again before the next change",
        "engine/execute.py",
        "            verify_applied(run, but=[later for later in preflight.pending if later >= place])\n",
        "",
        f"{UNIT}/engine/test_verification.py",
    ),
    Breach(
        "what was put back is looked at again at a rollback's end",
        "engine/rollback.py",
        "in list(not_restored(run, result.warnings)):",
        "in list[NotRestored]():",
        MEANWHILE,
    ),
    Breach(
        "a rollback looks at what the journal says was never changed",
        "engine/rollback.py",
        "    for failed in unrecorded(run, result.warnings):",
        "    for failed in list[NotRestored]():",
        MEANWHILE,
    ),
    Breach(
        "a run that is done is rolled back only if every undo can succeed",
        "engine/resume.py",
        "        looks = [change.require_undoable]\n",
        "        looks = list[Any]()\n",
        f"{UNIT}/engine/test_verification.py",
    ),
    Breach(
        "and only as it was left",
        "engine/resume.py",
        "            looks.insert(0, change.verify_again)\n",
        "            pass\n",
        f"{UNIT}/engine/test_resume.py",
    ),
    Breach(
        "what others changed since strands no run",
        "engine/verification.py",
        "        self._warn(differs if effect is None else None, report)\n        return effect\n",
        "        return effect or differs or ' '.join(map(str, report.warnings)) or None\n",
        MEANWHILE,
    ),
    Breach(
        "nobody goes on from records that were lost",
        "engine/preflight.py",
        "            _require_recorded(run, place, before)\n",
        "",
        f"{UNIT}/engine/test_verification.py",
    ),
    Breach(
        "nor says that nothing was changed by their word alone",
        "engine/runner.py",
        "roll_back(run) if run.resumed and run.is_open else RollbackResult({})",
        "RollbackResult({})",
        f"{UNIT}/engine/test_verification.py",
    ),
    Breach(
        "a signal that comes just before a wait ends it",
        "engine/wakeup.py",
        "                self._kick()\n",
        "                pass\n",
        f"{UNIT}/engine/test_signals.py",
    ),
    Breach(
        "a driver refuses what it cannot do before its director is asked",
        "directors/driver.py",
        "        if target is not None:\n            self.require_supported(target)\n",
        "",
        f"{UNIT}/directors/test_supported_targets.py",
    ),
]
