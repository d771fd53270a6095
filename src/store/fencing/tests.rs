use super::*;
use crate::{lease::CandidateId, store::fixtures::lease};

fn record(token: u64, holder: Option<&str>) -> LeaseRecord {
    let lease = lease("a", token);
    let mut record = LeaseRecord::new(lease.resource, lease.token);
    record.holder = holder.map(|holder| CandidateId::new(holder).unwrap());
    record
}

fn reason(record: Option<LeaseRecord>) -> RejectionReason {
    RejectedWrite::by_record(&lease("a", 3), record.as_ref()).reason
}

#[test]
fn a_rejection_says_what_happened_to_the_lease() {
    for holder in [Some("b"), Some("a"), None] {
        assert_eq!(reason(Some(record(4, holder))), RejectionReason::Superseded);
    }
    assert_eq!(reason(Some(record(3, Some("a")))), RejectionReason::Expired);
    assert_eq!(reason(Some(record(3, None))), RejectionReason::Released);
    for holder in [None, Some("a")] {
        let mut evicted = record(3, holder);
        evicted.closing = true;
        assert_eq!(reason(Some(evicted)), RejectionReason::Evicted);
    }
    assert_eq!(
        reason(Some(record(3, Some("b")))),
        RejectionReason::Forgotten
    );
    assert_eq!(
        reason(Some(record(2, Some("a")))),
        RejectionReason::Forgotten
    );
    assert_eq!(reason(None), RejectionReason::Forgotten);
}

#[test]
fn a_rejection_reads_as_a_sentence_without_a_full_stop() {
    let fenced = RejectedWrite::by_record(&lease("a", 3), Some(&record(5, None)));
    let text = "a write for jobs/nightly under token 3 was rejected: there is a newer leader (newest \
                token 5)";
    assert_eq!(fenced.to_string(), text);
    let fenced = RejectedWrite::by_record(&lease("a", 3), None);
    let text = "a write for jobs/nightly under token 3 was rejected: the database does not know this \
                acquisition";
    assert_eq!(fenced.to_string(), text);
}

#[test]
fn the_default_field_is_fencing_token() {
    assert_eq!(TokenGuard::new(&lease("a", 3)).field, "fencing_token");
}
