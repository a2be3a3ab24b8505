//! What every database behind the storage ports has to do. Each case is a
//! plain function over a [`world::World`], run once for each backend.

#![expect(clippy::expect_used, clippy::panic, reason = "a case that can't go on has failed")]

mod access;
mod attempts;
mod audit;
mod by_hand;
mod claims;
mod events;
mod failed;
mod jobs;
mod late;
mod lists;
mod model;
mod order;
mod overview;
mod portal;
mod postgres;
mod retention;
mod sealing;
mod sessions;
mod silence;
mod sqlite;
mod stats;
mod stream;
mod webhooks;
mod world;

/// Names every case once for each backend. SQLite counts twice: once with
/// logs that stay behind, so that lists are read from the tail, and once with
/// logs that follow at once.
macro_rules! cases {
    ($($module:ident { $($case:ident)+ })+) => {
        cases! { on_sqlite: crate::world::World::sqlite(i64::MAX), $($module { $($case)+ })+ }
        cases! { on_sqlite_with_logs_at_hand: crate::world::World::sqlite(0), $($module { $($case)+ })+ }
        cases! { on_postgres: crate::world::World::postgres(), $($module { $($case)+ })+ }
    };
    ($backend:ident: $world:expr, $($module:ident { $($case:ident)+ })+) => {
        mod $backend {
            $(mod $module { $(
                #[tokio::test]
                async fn $case() {
                    crate::$module::$case($world.await).await;
                }
            )+ })+
        }
    };
}

cases! {
    events {
        a_batch_is_recorded_in_order
        duplicates_are_recognised_across_and_within_batches
        a_conflict_records_nothing_of_the_batch
        another_tenant_may_use_the_same_id
        acceptance_never_runs_backwards
        keys_go_on_after_a_restart
        large_bodies_survive
        quantities_are_compared_with_the_last_that_was_published
        quantities_of_a_refused_batch_are_not_remembered
    }
    claims {
        what_is_due_is_claimed_once_and_oldest_first
        leased_at_birth_is_not_claimed
        bodies_bound_a_claim
        released_deliveries_are_due_again
        leases_end_with_the_process
        waiting_lanes_name_the_earliest
    }
    attempts {
        a_delivery_goes_through_its_states
        finishing_twice_changes_nothing
        details_survive
        what_was_called_off_stays_so_unless_it_was_delivered
        a_late_answer_leaves_a_new_life_alone
        superseded_without_an_attempt
    }
    by_hand {
        a_retry_by_hand_has_its_whole_schedule_before_it
        never_attempted_or_on_its_way_is_not_retried
        too_many_attempts_are_refused
        calling_off_leaves_a_trace
        deliveries_of_other_tenants_are_not_there
        what_waits_for_a_deleted_webhook_is_called_off
    }
    order {
        the_next_about_a_subject_goes_when_the_one_before_is_over
        a_retry_keeps_its_place_and_so_does_a_restart
        one_that_is_retried_by_hand_goes_before_what_waits_and_beside_nothing
        calling_off_and_retention_let_the_next_go
        what_is_on_its_way_in_order_is_not_called_off
        updates_that_are_out_of_date_are_superseded
        many_superseded_updates_are_skipped_in_steps
        any_interleaving_keeps_the_order
    }
    lists {
        every_filter_of_deliveries_pages_to_the_end
        every_filter_of_events_pages_to_the_end
        deliveries_of_an_event_page_in_order
        many_events_are_listed_whole
        webhooks_and_tenants_see_only_their_own
        deliveries_are_listed_by_the_answer_to_their_last_attempt
    }
    stream {
        the_log_is_read_forwards_from_any_place
    }
    webhooks {
        a_webhook_survives_the_round_trip
        stale_edits_are_refused
        deletion_hides_it_everywhere
        an_edit_may_bring_a_secret_that_signs_alone
        secrets_overlap_and_end
        disabling_tells_why_until_the_status_changes
        webhooks_page_newest_first
        webhooks_of_one_dialect_are_counted_and_sliced
        deleted_ones_can_still_be_shown
    }
    sealing {
        what_is_sealed_comes_back_and_stands_nowhere_in_plain
        what_was_tampered_with_does_not_open
        a_missing_key_is_named_and_nothing_is_changed
        the_first_to_start_decides_on_the_key
        everything_is_sealed_anew_while_it_is_edited
        a_new_key_is_kept_before_anything_is_sealed
        what_was_left_in_plain_is_sealed
    }
    access {
        tenants_are_made_once_and_changed
        clients_come_and_go
        when_a_client_was_used_never_goes_back
        deployment_values_are_kept
    }
    audit {
        a_change_is_told_with_who_made_it_and_what_differs
        what_was_refused_or_changes_nothing_is_not_told
        what_callboard_does_itself_is_told_too
        what_is_done_by_hand_is_told
        each_tenant_sees_its_own_and_nobody_the_deployments
        every_filter_of_the_log_pages_to_the_end
        old_entries_go_in_steps
    }
    sessions {
        a_session_of_the_operator_ends_in_time_or_by_hand
        a_sign_in_link_is_spent_once
        of_many_who_open_a_link_at_once_one_signs_in
        the_newest_sessions_of_the_operator_stay
        ended_sessions_and_expired_links_go_in_steps
    }
    failed {
        what_failed_is_grouped_by_webhook_and_reason
        what_failed_of_one_webhook_is_counted_so_far
        what_failed_is_listed_over_all_webhooks
        what_is_discarded_is_no_longer_failed
    }
    portal {
        a_link_makes_sessions_until_it_expires
        revoking_a_link_ends_its_sessions
        of_a_link_the_newest_sessions_stay
        what_has_ended_goes_in_steps
    }
    jobs {
        a_job_retries_what_had_failed
        a_job_is_made_once_and_can_be_stopped
        a_replay_sends_again_what_was_selected
        a_replay_keeps_the_order_of_a_subject
        a_job_ends_with_its_webhook
        a_total_is_counted_beside_the_work
        a_rate_is_kept_through_a_restart
        a_job_goes_for_one_reason_beside_others
        a_job_discards_what_had_failed
        what_is_discarded_holds_nobody_up_and_can_be_retried
        what_is_retried_and_discarded_at_once_becomes_one_or_the_other
        jobs_are_listed_for_their_tenant
    }
    late {
        a_late_delivery_is_told_from_its_event
        a_claim_tells_what_is_late_until_it_was_attempted
        lists_show_late_deliveries_where_they_were_made
        late_deliveries_of_an_event_page_behind_its_own
        an_event_is_found_and_published_once_whatever_echoes_it_has
        what_is_missing_is_found_in_pieces
        nobody_gets_an_event_twice
        what_a_step_did_not_reach_is_left_though_the_count_goes_on
        a_step_is_written_whole_or_not_at_all
        what_is_late_goes_behind_what_waits_of_its_subject
        what_is_late_makes_nothing_superfluous
        retention_takes_late_deliveries_with_their_event
        retention_lets_the_next_of_a_subject_go
        a_late_job_ends_with_its_webhook
    }
    stats {
        attempts_are_counted_by_the_hour
    }
    overview {
        webhooks_are_found_by_name_url_dialect_and_status
        webhooks_are_looked_for_in_bounded_steps
        vitals_agree_with_what_is_told_of_one
        vitals_see_what_is_on_its_way_and_count_so_far
        a_tenant_has_the_sums_of_its_webhooks
        the_backlog_is_what_waits_for_anybody
        the_space_that_is_taken_grows
    }
    retention {
        old_events_go_with_all_that_came_of_them
        each_tenant_has_its_own_retention
        a_shorter_retention_reaches_back
        keys_are_not_used_again
        late_attempts_of_pruned_events_are_dropped
        old_counts_go_too
        quantities_are_forgotten_after_a_year
    }
}
