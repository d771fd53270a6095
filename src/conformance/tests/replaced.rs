use super::Fault;

/// Each fault of bids that replace a token, and of lists, and the case that must fail for it.
pub(super) const CAUGHT_BY: &[(Fault, &str)] = &[
    (
        Fault::ReplacingBidRefused,
        "a_bid_takes_the_lease_whose_token_it_replaces",
    ),
    (Fault::AnyTokenReplaced, "a_bid_replaces_no_other_token"),
    (
        Fault::TokenOfAnybodyReplaced,
        "a_bid_replaces_no_token_of_another_candidate",
    ),
    (
        Fault::ClosingTokenReplaced,
        "a_bid_replaces_no_token_that_is_closing_or_paused",
    ),
    (
        Fault::PausedTokenReplaced,
        "a_bid_replaces_no_token_that_is_closing_or_paused",
    ),
    (
        Fault::ReplacementKeepsTheExpiry,
        "a_bid_that_replaces_a_token_gives_a_whole_ttl_again",
    ),
    (
        Fault::ListDoesNotObserve,
        "a_lease_that_was_only_listed_is_taken_over_when_it_has_expired",
    ),
];
