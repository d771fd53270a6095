//! The cases: one for each clause of the contract.

mod acquire;
mod editions;
mod evict;
mod hand_over;
mod history;
mod instructions;
mod lost_replies;
mod pause;
mod purge;
mod races;
mod records;
mod registers;
mod release;
mod renew;
mod replaced;
mod shared_owner;
mod tokens;
mod watch;

use futures::future::BoxFuture;

use super::trial::Trial;
use acquire::{
    a_free_lease_is_granted_with_a_token, a_refusal_names_the_holder_and_changes_nothing,
    a_released_attempt_is_never_granted_again, a_token_grows_across_eviction,
    a_token_grows_across_expiry, a_token_grows_across_release, an_expired_attempt_gets_a_new_token,
    an_unexpired_lease_is_refused_to_other_clients,
    other_candidates_wait_for_the_ttl_of_the_holder,
    the_same_attempt_gets_its_token_back_and_a_fresh_expiry,
    the_same_candidate_with_another_attempt_is_refused,
};
use editions::{
    a_late_pause_changes_nothing, a_late_resume_changes_nothing,
    a_resume_of_an_absent_record_makes_no_record, an_edition_grows_across_a_purge,
    an_edition_grows_across_a_purge_and_a_pause, each_pause_and_resume_raises_the_edition_by_one,
    one_of_many_simultaneous_pauses_applies,
};
use evict::{
    a_forced_eviction_frees_the_lease_at_once, an_evicted_lease_is_not_acquired_before_it_expires,
    an_evicted_lease_is_not_renewed, an_eviction_of_another_token_changes_nothing,
};
use hand_over::{
    a_bid_that_has_waited_is_granted_after_a_hand_over,
    a_hand_over_and_a_pause_do_not_erase_each_other, a_hand_over_leaves_the_lease_to_its_holder,
    a_hand_over_of_a_free_lease_is_refused, a_hand_over_of_an_expired_lease_is_refused,
    a_hand_over_of_another_token_is_refused, a_pause_wins_over_a_hand_over,
    a_renewal_tells_a_hand_over, an_acquisition_clears_the_hand_over,
    the_candidate_of_a_hand_over_bids_first, the_candidate_of_a_hand_over_bids_first_after_expiry,
    the_last_hand_over_stands,
};
use history::{
    a_release_without_a_reason_notes_none, every_write_but_a_renewal_touches_the_record,
    the_ends_of_older_acquisitions_are_kept, the_history_has_the_reason_of_a_release,
    the_history_names_an_eviction,
};
use instructions::{
    a_confirmed_pause_stops_bids_that_are_on_their_way, an_internal_record_takes_no_instruction,
    instructions_do_not_prolong_a_lease,
};
use lost_replies::{
    a_late_retry_of_an_acquire_does_not_undo_its_release, a_lost_reply_does_not_lose_the_lease,
    a_write_that_gets_no_answer_fails_within_its_limit,
};
use pause::{
    a_pause_creates_an_absent_record, a_pause_does_not_refuse_an_internal_bid,
    a_pause_holds_for_a_client_that_comes_later, a_pause_stands_until_it_is_resumed,
    a_paused_lease_is_refused_to_a_reentrant_bid_of_its_holder,
    a_paused_lease_is_refused_to_the_attempt_that_holds_it,
    a_paused_lease_is_renewed_and_its_holder_is_told,
    a_paused_lease_that_has_expired_is_not_taken_over, a_paused_lease_that_is_free_is_not_acquired,
    a_refusal_and_a_read_show_the_pause, a_resumed_lease_is_acquired,
};
use purge::{
    a_purge_deletes_an_expired_record_unless_the_store_observes,
    a_purge_deletes_released_records_and_counts_them, a_purge_spares_other_scopes,
    a_purge_spares_records_that_are_held_paused_or_internal,
    a_purge_spares_records_that_were_touched_lately,
    a_purge_that_races_with_bids_deletes_no_held_record,
};
use races::{
    a_renewed_lease_is_never_taken_over, an_observation_counts_from_the_reply,
    one_of_32_simultaneous_bids_wins, one_of_32_simultaneous_bids_wins_a_resource_without_a_record,
};
use records::{
    a_list_holds_the_records_directly_in_its_scope, a_record_of_a_newer_format_is_not_written,
    a_resource_that_was_never_acquired_has_no_record, metadata_of_4096_bytes_is_kept,
    names_with_any_allowed_character_stay_distinct, the_history_holds_the_last_eight_acquisitions,
    unknown_fields_are_kept,
};
use registers::{
    a_put_on_another_version_changes_nothing_and_shows_the_register,
    a_put_that_gets_no_answer_fails_within_its_limit, a_register_and_a_lease_may_have_one_name,
    a_register_keeps_any_text_of_65536_bytes, a_register_that_was_never_written_is_absent,
    a_repeated_put_conflicts_with_its_own_value, a_watch_tells_a_put_that_is_visible_by_then,
    get_many_has_the_registers_directly_in_the_scope, names_of_registers_stay_distinct,
    one_of_32_simultaneous_puts_wins, the_version_of_a_register_begins_at_1_and_grows_by_1,
};
use release::{
    a_released_record_keeps_its_token_and_metadata,
    an_unconfirmed_grant_is_released_by_its_attempt, only_the_holder_releases_a_lease,
};
use renew::{
    a_lease_of_another_token_or_holder_is_not_renewed, a_lease_that_was_taken_over_is_not_renewed,
    a_renewal_gives_a_whole_ttl_again, a_renewal_with_a_shorter_ttl_shortens_the_lease,
    an_expired_lease_is_not_renewed, renew_many_answers_for_each_copy_of_a_lease,
    renew_many_gives_each_lease_a_whole_ttl_again, renew_many_of_no_lease_has_no_result,
    renew_many_renews_each_lease, renew_many_tells_each_instruction,
};
use replaced::{
    a_bid_replaces_no_other_token, a_bid_replaces_no_token_of_another_candidate,
    a_bid_replaces_no_token_that_is_closing_or_paused,
    a_bid_takes_the_lease_whose_token_it_replaces,
    a_bid_that_replaces_a_token_gives_a_whole_ttl_again,
    a_lease_that_was_only_listed_is_taken_over_when_it_has_expired,
};
use shared_owner::{
    a_reentrant_bid_does_not_take_the_lease_of_another_candidate,
    a_reentrant_bid_gives_a_whole_ttl_again, a_reentrant_bid_is_refused_while_the_lease_is_closing,
    a_reentrant_bid_takes_the_lease_of_its_candidate_with_a_new_token,
    a_release_by_another_owner_changes_nothing, a_release_by_owner_clears_an_expired_lease,
    a_release_by_owner_creates_no_record, a_release_by_owner_needs_no_token,
    a_token_grows_across_a_release_by_owner, an_attempt_released_by_owner_is_never_granted_again,
    one_release_by_owner_ends_all_reentrant_bids_of_the_owner,
};
use tokens::{
    a_token_grows_across_a_purge, a_token_grows_across_a_purge_and_a_pause,
    each_later_token_is_one_more, the_first_token_is_the_time_of_day,
};
use watch::{
    a_watch_is_never_silent, a_watch_tells_a_release_that_is_visible_by_then,
    a_watch_tells_a_renewal_with_a_shorter_ttl, a_watch_tells_an_acquisition,
    a_watch_tells_an_eviction, a_watch_tells_instructions,
};

type Case = for<'a> fn(&'a Trial) -> BoxFuture<'a, ()>;

crate::__conformance_cases! { __conformance_table!() }
