//! Checks the rows at the end.

use std::{collections::BTreeMap, fmt};

use libtest_mimic::{Failed, Trial};

/// The replies that the writers got.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    /// By token.
    pub(crate) applied: BTreeMap<u64, u64>,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Writes that were applied after one with a newer token.
    pub(crate) stale: usize,
    pub(crate) applied: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} applied, {} of them stale", self.applied, self.stale)
    }
}

impl Verdict {
    /// Checks the tokens of each row, in the order in which they were applied. It fails if the rows contradict
    /// the replies, because then they prove nothing.
    pub(crate) fn of(rows: &[Vec<u64>], replies: &Replies, killed: u64) -> Result<Self, Failed> {
        let mut found: BTreeMap<u64, u64> = BTreeMap::new();
        let mut stale = 0;
        for row in rows {
            let mut newest = 0;
            for token in row {
                *found.entry(*token).or_default() += 1;
                stale += usize::from(*token < newest);
                newest = newest.max(*token);
            }
        }
        for (token, applied) in &replies.applied {
            if found.get(token).copied().unwrap_or_default() < *applied {
                return Err(format!(
                    "{applied} writes of token {token} were confirmed, and the rows hold fewer"
                )
                .into());
            }
        }
        let (found, applied) = (
            found.values().sum::<u64>(),
            replies.applied.values().sum::<u64>(),
        );
        // A writer that is killed gets no reply to its last write.
        if found > applied + replies.unknown + killed {
            return Err(format!(
                "{found} writes in the rows, {applied} confirmed: refused writes were applied"
            )
            .into());
        }
        let applied = usize::try_from(found)?;
        Ok(Self { stale, applied })
    }
}

pub(crate) fn trials() -> Vec<Trial> {
    fn replies(applied: &[(u64, u64)]) -> Replies {
        Replies {
            applied: applied.iter().copied().collect(),
            refused: 1,
            unknown: 0,
        }
    }
    vec![
        Trial::test("the_checker_finds_a_stale_write", || {
            let rows = [vec![1, 1, 2, 2], vec![1, 3, 2, 3, 1]];
            let verdict = Verdict::of(&rows, &replies(&[(1, 4), (2, 3), (3, 2)]), 0)?;
            assert_eq!(
                verdict,
                Verdict {
                    stale: 2,
                    applied: 9
                }
            );
            let rows = [vec![3, 3], vec![1, 2, 2]];
            assert_eq!(
                Verdict::of(&rows, &replies(&[(1, 1)]), 4)?.stale,
                0,
                "rows are apart"
            );
            Ok(())
        }),
        Trial::test("the_checker_finds_rows_that_contradict_the_replies", || {
            let rows = [vec![1, 1, 2]];
            assert!(
                Verdict::of(&rows, &replies(&[(1, 3)]), 0).is_err(),
                "one is lost"
            );
            assert!(
                Verdict::of(&rows, &replies(&[(1, 2)]), 0).is_err(),
                "a refused one is there"
            );
            assert!(
                Verdict::of(&rows, &replies(&[(1, 2)]), 1).is_ok(),
                "or its writer was killed"
            );
            Ok(())
        }),
    ]
}
