use std::cmp::Reverse;

use super::Candidate;

/// How many of `shards` each candidate is to have, in the order of the candidates. Whole shares: they add up to `shards`
/// unless all weights are 0 or the caps are too small, and each differs from the exact share by less than 1, as far as
/// the caps let it. A member that has more than its whole share keeps one of the rest before others get it, and one that
/// had more comes next, so nothing moves for a tie.
pub(super) fn quotas(candidates: &[Candidate], have: &[u32], had: &[u32], shards: u32) -> Vec<u32> {
    let mut quotas = vec![0; candidates.len()];
    let mut left = shards;
    let mut open: Vec<usize> = (0..candidates.len())
        .filter(|index| candidates[*index].weight > 0)
        .collect();
    // Each time, those whose share is more than their cap get the cap, and the others share the rest.
    while !open.is_empty() {
        let shares = shares(candidates, have, had, &open, left);
        let cap = |index: usize| candidates[index].max_shards.unwrap_or(u32::MAX);
        let full: Vec<usize> = (open.iter().zip(&shares))
            .filter(|(index, share)| **share > cap(**index))
            .map(|(index, _)| *index)
            .collect();
        if full.is_empty() {
            for (index, share) in open.iter().zip(shares) {
                quotas[*index] = share;
            }
            break;
        }
        for index in &full {
            quotas[*index] = cap(*index);
            left -= quotas[*index];
        }
        open.retain(|index| !full.contains(index));
    }
    quotas
}

/// The shares of those that are open, without caps.
fn shares(
    candidates: &[Candidate],
    have: &[u32],
    had: &[u32],
    open: &[usize],
    shards: u32,
) -> Vec<u32> {
    let weight = |index: usize| u64::from(candidates[index].weight);
    let total: u64 = open.iter().map(|index| weight(*index)).sum();
    let exact = |index: usize| u64::from(shards) * weight(index);
    let mut shares: Vec<u32> = open
        .iter()
        .map(|index| (exact(*index) / total) as u32)
        .collect();
    let rest = shards - shares.iter().sum::<u32>();
    let mut order: Vec<usize> = (0..open.len()).collect();
    order.sort_by_key(|at| {
        let index = open[*at];
        let fraction = exact(index) % total;
        let keeps = have[index] > shares[*at];
        let kept = have[index] + had[index] > shares[*at];
        let session = candidates[index].session;
        // A member with an exact share gets no more. The fractions of the others add up to the rest, so they suffice.
        (fraction == 0, !keeps, !kept, Reverse(fraction), session)
    });
    for at in order.into_iter().take(rest as usize) {
        shares[at] += 1;
    }
    shares
}
