"""Which tests of the lab are in ``make test``: each mechanism once; all the others are in ``make test-all``.

The lab boots, services are migrated with each driver and rolled back, one fault of each family is refused, a
killed run is resumed and put back, locks and hooks and load are there, and others are at work meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ALL: Collection[str] = ()
"""Every test of the file."""

CHOSEN: Mapping[str, Collection[str]] = {
    "etcd/test_cluster.py": ALL,
    "etcd/test_elsewhere.py": ALL,
    "etcd/test_faults.py": ALL,
    "etcd/test_killed.py": ALL,
    "etcd/test_lost_answers.py": ALL,
    "etcd/test_outages.py": (
        "test_a_run_without_its_cluster_stops_and_all_is_back_while_its_lease_lasts[Kind.FROZEN-When.LOOK]",
        "test_a_cluster_that_is_back_before_the_end_gets_everything_at_once",
        "test_a_rollback_that_loses_its_cluster_goes_on_while_its_lease_lasts",
    ),
    "etcd/test_processes.py": ("test_a_process_that_wakes_up_after_its_lease_changes_nothing_more",),
    "etcd/test_quota.py": ALL,
    "etcd/test_races.py": ALL,
    "etcd/test_taken_over.py": ALL,
    "etcd/test_tls.py": ALL,
    "etcd/test_users.py": ALL,
    "etcd/test_visitors.py": ALL,
    "etcd/test_writes.py": ALL,
    "kubernetes/test_lab_pods.py": (
        "test_a_pod_made_again_has_its_nodes_mtu_and_another_device_and_answers",
    ),
    "kubernetes/test_nodes.py": ("test_a_cordoned_node_that_answers_is_told_and_does_not_block",),
    "kubernetes/test_pod_mtu.py": ("test_half_old_pods_refuse_the_service_until_they_say_a_smaller_mss",),
    "kubernetes/test_router.py": ("test_without_consent_nothing_is_changed_in_a_dry_run_and_for_real",),
    "kubernetes/test_spoofing.py": ("test_with_ipip0_open_no_forged_packet_leaves_a_node_and_nobody_warns",),
    "test_bad_input.py": (
        "test_a_scalar_where_a_list_belongs_is_named_with_its_line",
        "test_what_cannot_be_migrated_is_refused_by_name[wbe",
        "test_when_the_lab_is_not_up_commands_refuse_and_ask_the_network_for_nothing[migrate",
        "test_without_raw_sockets_it_says_so_before_anything_else",
    ),
    "test_bastions.py": ALL,
    "test_by_hand.py": ("test_a_run_that_is_held_is_put_back_by_hand[keepalived",),
    "test_command_driver.py": (
        "test_flip_and_rollback_under_load_lose_nothing",
        "test_commands_that_lie_are_found_out",
    ),
    "test_control_host_without_root.py": ("test_the_command_that_the_message_names_gives_it",),
    "test_control_hosts.py": ("test_a_run_begun_on_one_control_host_is_taken_back_from_another",),
    "test_directors.py": (
        "test_a_service_is_flipped_and_put_back_on_each_director_and_nothing_else_is[web]",
        "test_a_black_hole_is_seen_by_the_upload_and_by_nothing_else",
        "test_host_routes_of_both_families_come_and_go",
        "test_a_connection_is_seen_from_its_beginning_to_its_end[static]",
    ),
    "test_dry_run.py": ("test_a_migration_makes_what_its_dry_run_foretold[static",),
    "test_exchange.py": (
        "test_a_healthy_realserver_completes_with_full_size_segments_and_no_packet_of_the_kernel",
        "test_half_tracked_connections_are_half_open_though_their_syn_ack_is_fine[asked-4",
        "test_a_process_that_is_killed_leaves_no_port_and_no_rule_behind",
    ),
    "test_facts.py": (
        "test_one_script_says_what_single_commands_say[node1",
        "test_routes_and_rules_are_those_of_single_commands[web2",
        "test_rules_filters_pods_counters_are_those_of_single_commands[node1",
    ),
    "test_faults.py": ALL,
    "test_firewall.py": ALL,
    "test_firewall_exchange.py": (
        "test_a_handshake_ends_where_iptables_is_said_to_end_it[the field",
        "test_a_handshake_ends_where_nft_is_said_to_end_it[the field",
        "test_the_remedy_for_a_halved_connection_mends_it",
    ),
    "test_fleet.py": ALL,
    "test_git_catalog.py": ("test_the_run_waits_for_a_person_to_merge_and_goes_back_through_the_same_gate",),
    "test_guide.py": ("test_its_runs_leave_tapes_that_replay",),
    "test_hooks.py": ALL,
    "test_keepalived_field.py": (
        "test_a_text_that_already_fails_its_own_test_is_told_of_and_migrates_there_and_back",
        "test_a_weight_set_by_hand_beside_one_that_moves_is_somebody_s_interference",
    ),
    "test_keepalived_traps.py": (
        "test_a_service_in_two_files_is_flipped_and_put_back_in_both",
        "test_a_syntax_error_in_one_of_two_files_changes_neither",
        "test_what_its_own_test_of_a_configuration_takes_and_refuses",
    ),
    "test_keys_and_certificates.py": ALL,
    "test_lab.py": ALL,
    "test_lab_up_and_down.py": (
        "test_a_boot_that_is_killed_midway_leaves_nothing_that_down_does_not_clear",
        "test_entering_refuses_while_the_lab_is_absent",
    ),
    "test_login_shells.py": ALL,
    "test_like.py": ("test_a_service_of_both_families_migrates_and_rolls_back_in_a_lab_in_its_image",),
    "test_liberica.py": ("test_it_migrates_and_rolls_back_with_the_catalog_first",),
    "test_migrate.py": (
        "test_a_dual_stack_service_migrates_and_rolls_back",
        "test_a_fault_refuses_the_run_names_its_host_and_changes_nothing[black-hole-in",
        "test_a_fault_refuses_the_run_names_its_host_and_changes_nothing[rp-filter-strict",
        "test_a_run_that_was_killed_keeps_its_lock_and_can_be_resumed",
        "test_each_driver_and_each_kind_of_realserver_migrates",
        "test_what_breaks_after_the_first_flip_is_rolled_back_and_verified",
    ),
    "test_no_lost_request.py": (
        "test_under_a_strong_load_a_flip_and_its_rollback_lose_nothing[maps]",
        "test_without_host_routes_a_flip_loses_connections_from_before_it[static]",
    ),
    "test_order.py": ("test_a_director_that_dies_holds_the_run_and_no_other_is_touched[lvs1",),
    "test_others_meanwhile.py": (
        "test_a_director_that_is_rebooted_in_its_soak_is_seen_before_the_next_one_is_touched[static",
        "test_an_edit_that_waits_in_another_services_file_refuses_the_run[lvs2",
    ),
    "test_path_mtu.py": (
        "test_where_the_router_says_what_fits_all_agree",
        "test_a_dns_answer_larger_than_the_path_comes_in_fragments_or_not_at_all",
    ),
    "test_policies_as_rules.py": ("test_packets_go_where_the_evaluator_says[0]",),
    "test_probe.py": ALL,
    "test_probe_command.py": ALL,
    "test_probe_in_the_lab.py": ALL,
    "test_pybal.py": ("test_a_service_migrates_and_rolls_back_with_the_catalog_first",),
    "test_races.py": ALL,
    "test_reboot.py": ("test_a_server_comes_back_from_a_reboot_with_what_the_check_foretold[made",),
    "test_rehearse.py": ("test_one_ends_as_expected_and_another_one_does_not",),
    "test_replay_lab.py": ("test_a_tape_of_a_refused_run_is_refused_again_for_the_same_host_and_check",),
    "test_scheduler.py": ("test_a_service_is_moved_and_comes_back_to_the_byte[static]",),
    "test_ssh_config.py": ALL,
    "test_sudo.py": ALL,
    "test_through_a_bastion.py": ("test_a_service_migrates_and_goes_back_through_the_bastion",),
    "test_visitors.py": ("test_a_run_that_is_killed_while_others_come_and_go_goes_back_whole[check-1",),
    "test_without_root.py": ("test_a_run_that_was_killed_goes_on_and_can_be_put_back",),
    "matrix/test_matrix.py": (
        "test_a_lab_without_faults_raises_no_alarm[web",
        "test_a_director_whose_own_gate_is_shut_blocks",
    ),
    "torture/test_torture.py": ("test_a_journal_whose_disk_is_full_stops_the_run_before_its_next_change",),
}
"""By file: what the names of its chosen tests begin with."""


def is_chosen(file: str, name: str) -> bool:
    """Whether a test is in ``make test``; a file that is not named has none."""
    if file not in CHOSEN:
        return False
    beginnings = tuple(CHOSEN[file])
    return not beginnings or name.startswith(beginnings)
