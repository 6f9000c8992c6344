"""Which unit tests are in ``make test-all`` alone: scenes that take long, of files where others stay.

They run real git, real shells or processes of the command by the dozen; each file keeps a scene of each kind
for ``make unit``, which takes no longer than a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

LEFT_OUT: Mapping[str, Collection[str]] = {
    "catalog/test_git_proposal.py": (
        "test_a_branch_that_was_deleted_is_gone_for_the_next_process_too",
        "test_another_control_host_finds_what_was_merged_by_the_run",
        "test_it_is_merged_although_others_edited_other_services_meanwhile[with a remote-rebase",
        "test_it_is_merged_although_others_edited_other_services_meanwhile[with a remote-squash",
        "test_it_is_merged_however_people_merge[with a remote-cherry-pick",
        "test_it_is_merged_though_its_branch_is_deleted_at_once",
        "test_the_rollback_is_merged_whatever_else_others_made_of_the_service",
        "test_what_was_merged_and_reverted_is_told_from_waiting_even_by_the_next_process",
        "test_without_push_the_branch_stays_here_and_is_merged_when_people_push_it",
    ),
    "catalog/test_flip_real.py": (
        "test_every_service_at_every_site_is_flipped_by_its_flags_lines_alone",
        "test_the_whole_file_is_flipped_as_the_entry_alone_is[text",
    ),
    "catalog/test_reschedule_properties.py": ("test_every_service_of_the_real_catalog_there_and_back",),
    "cli/test_damaged_journal.py": ("test_whatever_bytes_are_others_nobody_sees_a_traceback",),
    "cli/test_no_hosts.py": (
        "test_a_misspelt_service_is_told_before_the_missing_key",
        "test_with_a_key_it_is_the_service_alone",
    ),
    "cli/test_output.py": (
        "test_in_a_narrow_window_no_name_is_broken[words3",
        "test_streams_that_take_nothing_leave_a_run_its_rollback[all closed",
        "test_streams_that_take_nothing_leave_a_run_its_rollback[both closed-json",
        "test_streams_that_take_nothing_leave_a_run_its_rollback[both full",
        "test_streams_that_take_nothing_leave_a_run_its_rollback[stderr closed",
    ),
    "cli/test_template.py": ("test_its_test_passes_and_turns_red_when_the_cookbook_is_broken",),
    "cli/test_rehearse.py": (
        "test_a_command_that_could_not_run_is_told_before_a_lab_is_booted[ferryman --version",
        "test_a_command_that_could_not_run_is_told_before_a_lab_is_booted[ferryman lab",
        "test_a_command_that_could_not_run_is_told_before_a_lab_is_booted[ferryman migrate --help",
        "test_a_command_that_could_not_run_is_told_before_a_lab_is_booted[ferryman migrate static-",
        "test_the_scenario_of_a_new_cookbook_is_sound[one",
    ),
    "cli/test_replay.py": (
        "test_a_cookbook_that_is_gone_is_named",
        "test_programs_get_a_line_for_each_tape",
        "test_what_is_not_there_is_named",
    ),
    "cli/test_terminals.py": (
        "test_a_window_that_closes_takes_the_run_back[look-after",
        "test_ctrl_z_and_fg_are_harmless",
        "test_nohup_is_taken_at_its_word",
    ),
    "cli/test_without_root.py": (
        "test_a_configuration_in_a_closed_folder_is_named_however_it_is_found",
        "test_a_folder_where_no_journal_can_be_made_is_named",
        "test_a_home_that_nobody_knows_is_told",
        "test_a_journal_of_somebody_else_is_named_with_its_owner_and_mode",
        "test_a_journal_that_can_be_read_alone_is_shown",
        "test_a_log_of_runs_that_cannot_be_written_is_a_warning_and_no_more",
        "test_a_picture_that_cannot_be_written_is_told_before_the_run",
        "test_an_ordinary_user_who_has_no_name_can_run_what_sends_no_probes",
        "test_what_cannot_be_read_is_named_and_nothing_is_begun[cookbooks",
        "test_what_cannot_be_read_is_named_and_nothing_is_begun[inventory",
    ),
    "cookbook/test_git_catalog_step.py": (
        "test_a_branch_is_found_again_by_the_before_whatever_branches_are_called_by_now",
        "test_a_held_run_goes_on_with_the_same_commit_when_it_is_resumed_days_later",
        "test_a_held_run_is_taken_back_whether_it_was_merged_meanwhile_or_not",
        "test_a_merge_of_another_service_between_the_survey_and_the_commit_stops_nothing",
        "test_a_proposal_is_an_effect_while_it_can_be_merged_and_once_it_is",
        "test_a_push_that_is_refused_leaves_nothing_behind",
        "test_a_remote_that_goes_away_while_it_waits_is_waited_for",
        "test_a_revert_that_cannot_be_made_is_known_before_anything_is_restored",
        "test_a_revert_that_nobody_merges_is_stranded_and_finished_by_the_next_rollback",
        "test_a_rollback_that_is_resumed_as_a_migration_warns_of_what_is_still_on_offer",
        "test_a_run_that_is_done_and_was_changed_since_is_not_taken_back",
        "test_a_run_that_is_done_is_taken_back_days_later",
        "test_an_edit_of_the_same_service_by_someone_else_withdraws_the_proposal",
        "test_another_control_host_goes_on_with_it_from_a_clone_of_its_own",
        "test_changes_before_it_go_back_too",
        "test_ctrl_c_while_it_waits_withdraws_it",
        "test_edits_of_other_services_in_the_working_tree_do_not_matter_and_stay",
        "test_merged_differently_everything_goes_back_through_the_same_gate",
        "test_merged_differently_while_it_was_held_is_seen_when_it_is_resumed",
        "test_others_merges_in_between_are_told_and_stop_nothing",
        "test_what_fails_later_takes_the_flag_out_again_on_the_base_of_now",
        "test_what_is_told_as_taken_back_is_what_git_was_told",
        "test_what_was_merged_and_taken_back_since_does_not_stand",
    ),
    "cookbook/test_looking_again.py": (
        "test_a_file_that_was_put_back_under_a_table_that_was_not_does_not_stand",
        "test_host_routes_that_were_flushed_are_up_before_a_destination_goes_back",
        "test_kept_for_connections_that_have_ended_since_they_are_a_warning_and_strand_nobody",
        "test_nothing_to_edit_back_or_no_step_for_routes_puts_none_up",
        "test_one_that_comes_between_check_and_reload_is_named_at_the_end_of_the_rollback",
        "test_one_that_stands_in_the_way_of_putting_them_up_again_is_known_beforehand",
        "test_one_to_a_realserver_that_has_left_the_pool_goes_too",
        "test_routes_that_cannot_be_put_up_keep_no_destination_from_going_back",
        "test_taken_away_they_come_back_for_all_that_had_one",
        "test_their_effect_is_seen_by_their_marks",
        "test_they_are_missed_also_once_nothing_is_left_to_flip",
        "test_those_that_nobody_put_up_are_not_told_as_removed",
    ),
    "cookbook/test_merged_while_resumed.py": (
        "test_whenever_it_is_merged_while_the_run_is_resumed_the_run_takes_it_for_its_own",
    ),
    "cookbook/test_scheduler_step.py": (
        "test_during_the_rollback_what_others_made_of_the_service_is_theirs_to_keep",
        "test_under_review_it_is_merged_and_taken_back_through_the_same_gate",
    ),
    "cookbooks/test_every_cookbook.py": (
        "test_cut_at_a_few_calls_it_ends_all_old_or_all_new[scheduler",
        "test_its_rollback_cut_at_a_few_calls_ends_all_old[scheduler",
        "test_whatever_others_change_right_after_it_changed_something_what_it_says_is_true[migrate",
        "test_with_its_latest_records_lost_nothing_untrue_is_said_of_it[migrate",
    ),
    "cookbooks/test_third_party.py": (
        "test_another_services_edit_that_waits_for_a_reload_is_never_loaded_by_a_run_that_ends_done",
        "test_nor_is_it_during_the_rollback",
    ),
    "directors/test_keepalived_files.py": (
        "test_a_table_that_followed_in_part_is_a_doubt_and_one_that_went_elsewhere_is_not",
        "test_a_virtual_server_that_keepalived_loses_in_a_reload_is_told_and_the_files_go_back",
    ),
    "directors/test_managed.py": (
        "test_a_catalog_that_is_not_back_brings_no_director_back",
        "test_a_file_that_still_says_so_is_not_back_though_the_table_is",
        "test_a_half_converged_director_names_the_destination_that_is_not",
        "test_a_restart_that_does_nothing_is_doubt_and_names_each_destination",
        "test_a_scheduler_is_followed_too",
        "test_the_change_may_reach_the_agent_late",
        "test_the_kernel_may_follow_late",
        "test_the_rollback_tells_what_really_ran",
        "test_twice_is_harmless_and_restarts_nothing",
        "test_whether_it_can_be_put_back_is_known_before_anything_is_touched",
    ),
    "directors/test_pybal.py": (
        "test_a_pybal_that_was_left_stopped_is_started_though_the_table_is_right",
        "test_a_pybal_that_will_not_is_told_in_its_own_words[stop",
        "test_between_stop_and_start_it_waits_for_packets_to_end[so does the time",
        "test_between_stop_and_start_it_waits_for_packets_to_end[unreadable",
        "test_without_a_drain_it_is_a_plain_restart",
    ),
    "engine/test_cut_everywhere.py": (
        "test_a_step_with_a_broken_verb_is_found[Forgets",
        "test_a_step_with_a_broken_verb_is_found[VerifiesNothing",
    ),
    "probe/test_samples.py": (
        "test_a_network_that_loses_30_percent_of_all_packets_still_passes",
        "test_two_thousand_half_open_connections_are_all_closed_when_it_is_interrupted",
    ),
    "state/test_visitors.py": (
        "test_records_survive_a_kill_though_others_came_and_went_between_all_of_them",
    ),
    "cookbooks/test_guide.py": ("test_the_page_s_own_tests_pass",),
    "test_without_docstrings.py": ("test_every_plan_has_the_same_titles_and_does_the_same",),
    "traffic/test_http_request.py": (
        "test_a_syn_that_the_kernel_had_to_send_again_is_counted_though_the_request_is_answered",
    ),
    "engine/test_others_meanwhile.py": (
        "test_a_step_that_believes_too_much_is_found[LooksOnce",
        "test_whatever_others_change_right_after_a_change_what_a_run_says_is_true[1",
        "test_whatever_others_change_right_after_a_change_what_a_run_says_is_true[2",
        "test_with_its_latest_records_lost_nothing_untrue_is_said_of_a_run[1",
        "test_with_its_latest_records_lost_nothing_untrue_is_said_of_a_run[2",
    ),
    "directors/test_routes.py": ("test_added_twice_and_removed_twice_is_as_once",),
    "hosts/test_helper.py": (
        "test_parts_of_other_types[parts1",
        "test_parts_of_other_types[parts2",
    ),
    "test_ci_page.py": ("test_replay_ends_well_on_the_tapes_of_the_repository",),
}
"""By file: what the names of the tests that are left out begin with."""


def is_left_out(file: str, name: str) -> bool:
    """Whether a test of this file below ``tests/unit`` is in ``make test-all`` alone."""
    return name.startswith(tuple(LEFT_OUT.get(file, ())))
