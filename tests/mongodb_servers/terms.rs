//! The time during which each leadership was or could be current, and the violations of the guarantee.

use tenure::clock::Moment;

/// One acquisition of one resource.
#[derive(Debug)]
#[allow(dead_code, reason = "shown in the message of a failure")]
pub(crate) struct Term {
    pub(crate) token: u64,
    pub(crate) candidate: String,
    /// The first and the last moment at which `is_current()` was or could be true.
    pub(crate) start: Moment,
    pub(crate) end: Moment,
}

/// The violations of the guarantee among the acquisitions of one resource.
pub(crate) fn faults(terms: &[Term]) -> Vec<String> {
    let mut terms: Vec<_> = terms.iter().collect();
    terms.sort_by_key(|term| term.start);
    let mut faults = Vec::new();
    for (index, younger) in terms.iter().enumerate() {
        for older in &terms[..index] {
            if older.token >= younger.token {
                faults.push(format!("{younger:?} has no newer token than {older:?}"));
            }
            if older.end > younger.start {
                faults.push(format!("{younger:?} overlaps {older:?}"));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(token: u64, start: u64, end: u64) -> Term {
        let (start, end) = (Moment::from_nanos(start), Moment::from_nanos(end));
        let candidate = "a".to_owned();
        Term {
            token,
            candidate,
            start,
            end,
        }
    }

    #[test]
    fn consecutive_terms_with_growing_tokens_are_no_fault() {
        assert!(faults(&[]).is_empty());
        assert!(faults(&[term(7, 20, 30), term(1, 1, 10), term(2, 10, 20)]).is_empty());
    }

    #[test]
    fn a_common_nanosecond_is_a_fault_also_if_the_terms_are_not_neighbours() {
        assert_eq!(faults(&[term(1, 1, 11), term(2, 10, 20)]).len(), 1);
        let row = [term(1, 1, 50), term(2, 60, 61), term(3, 49, 52)];
        assert!(faults(&row).iter().any(|fault| fault.contains("overlaps")));
    }

    #[test]
    fn a_token_that_is_repeated_or_decreases_is_a_fault() {
        assert_eq!(faults(&[term(1, 1, 5), term(1, 10, 20)]).len(), 1);
        assert_eq!(faults(&[term(2, 1, 5), term(1, 10, 20)]).len(), 1);
    }
}
