//! The newest records of a group that a member has seen.

use super::{
    Shard,
    format::{BUCKET, Bucket, Entry, Head, Session},
};

/// A bucket and its version.
#[derive(Clone, Debug)]
pub(crate) struct SeenBucket {
    pub(crate) version: u64,
    pub(crate) bucket: Bucket,
}

#[derive(Debug)]
pub(crate) struct View {
    shards: u32,
    head: Option<(u64, Head)>,
    buckets: Vec<Option<SeenBucket>>,
}

impl View {
    pub(crate) fn new(shards: u32) -> Self {
        let buckets = shards.div_ceil(BUCKET);
        Self {
            shards,
            head: None,
            buckets: (0..buckets).map(|_| None).collect(),
        }
    }

    pub(crate) fn head(&self) -> Option<&(u64, Head)> {
        self.head.as_ref()
    }

    /// Takes a head, unless a newer one has been seen.
    pub(crate) fn saw_head(&mut self, version: u64, head: Head) {
        if self.head.as_ref().is_none_or(|(seen, _)| *seen <= version) {
            self.head = Some((version, head));
        }
    }

    /// The number of buckets.
    pub(crate) fn buckets(&self) -> u32 {
        self.buckets.len() as u32
    }

    pub(crate) fn bucket(&self, bucket: u32) -> Option<&SeenBucket> {
        self.buckets.get(bucket as usize)?.as_ref()
    }

    /// How many shards a bucket has.
    pub(crate) fn size_of(&self, bucket: u32) -> u32 {
        (self.shards - bucket * BUCKET).min(BUCKET)
    }

    /// Takes a bucket. False if a newer one has been seen, or it is of another size.
    pub(crate) fn saw(&mut self, bucket: u32, seen: SeenBucket) -> bool {
        if bucket >= self.buckets() || seen.bucket.entries.len() as u32 != self.size_of(bucket) {
            return false;
        }
        let age = |seen: &SeenBucket| (seen.bucket.base(), seen.version);
        let slot = &mut self.buckets[bucket as usize];
        if slot.as_ref().is_some_and(|known| age(&seen) < age(known)) {
            return false;
        }
        *slot = Some(seen);
        true
    }

    /// The buckets that the head says have changed since, and those that were never seen.
    pub(crate) fn outdated(&self) -> Vec<u32> {
        let versions = self.head.as_ref().map(|(_, head)| &head.versions);
        let is_outdated = |bucket: &u32| match self.bucket(*bucket) {
            None => true,
            Some(seen) => {
                let named = versions.and_then(|versions| versions.get(*bucket as usize));
                named.is_some_and(|version| *version > seen.version)
            }
        };
        (0..self.buckets()).filter(is_outdated).collect()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.buckets.iter().all(Option::is_some)
    }

    pub(crate) fn entry(&self, shard: Shard) -> Option<&Entry> {
        let index = u32::from(shard.index());
        let entries = &self.bucket(index / BUCKET)?.bucket.entries;
        entries.get((index % BUCKET) as usize)
    }

    /// The shards of a bucket and their entries.
    pub(crate) fn entries_of(&self, bucket: u32) -> impl Iterator<Item = (Shard, &Entry)> {
        let entries = self.bucket(bucket).map(|seen| &seen.bucket.entries);
        let first = bucket * BUCKET;
        let shards = (first..).map(|index| Shard::new(index as u16));
        shards.zip(entries.into_iter().flatten())
    }

    /// All that were seen, in the order of the shards.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Shard, &Entry)> {
        (0..self.buckets()).flat_map(|bucket| self.entries_of(bucket))
    }

    /// Every session that the map refers to.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = Session> {
        self.entries()
            .flat_map(|(_, entry)| entry.owner.into_iter().chain(entry.next))
    }
}

/// The bucket of a shard.
pub(crate) fn bucket_of(shard: Shard) -> u32 {
    u32::from(shard.index()) / BUCKET
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::FencingToken;

    const BASE: u64 = 1_000;

    fn session(slot: u32) -> Session {
        let token = FencingToken::new(1);
        Session { slot, token }
    }

    fn seen(base: u64, version: u64, shards: u32, owner: u32) -> SeenBucket {
        let mut bucket = Bucket::new(base, shards);
        bucket.entries[0].owner = Some(session(owner));
        SeenBucket { version, bucket }
    }

    fn owner(view: &View, shard: u16) -> Option<u32> {
        view.entry(Shard::new(shard))?.owner.map(|owner| owner.slot)
    }

    #[test]
    fn an_older_bucket_is_not_taken_and_one_that_was_created_anew_is() {
        let mut view = View::new(300);
        assert!(view.saw(0, seen(BASE, 5, 256, 1)));
        assert!(!view.saw(0, seen(BASE, 4, 256, 2)));
        assert_eq!(owner(&view, 0), Some(1));
        assert!(view.saw(0, seen(BASE, 5, 256, 1)), "the same again");
        assert!(view.saw(0, seen(BASE + 1, 1, 256, 3)), "created anew");
        assert!(!view.saw(0, seen(BASE, 9, 256, 4)));
        assert_eq!(owner(&view, 0), Some(3));
    }

    #[test]
    fn an_older_head_is_not_taken() {
        let mut view = View::new(300);
        let head = |round| {
            let mut head = Head::new(300);
            head.round = round;
            head
        };
        view.saw_head(7, head(2));
        view.saw_head(6, head(1));
        assert_eq!(
            view.head().map(|(version, head)| (*version, head.round)),
            Some((7, 2))
        );
        view.saw_head(8, head(3));
        assert_eq!(view.head().map(|(version, _)| *version), Some(8));
    }

    #[test]
    fn the_last_bucket_has_the_rest_and_one_of_another_size_is_refused() {
        let mut view = View::new(300);
        assert_eq!(
            (view.buckets(), view.size_of(0), view.size_of(1)),
            (2, 256, 44)
        );
        assert!(!view.saw(1, seen(BASE, 1, 256, 1)));
        assert!(!view.saw(2, seen(BASE, 1, 44, 1)));
        assert!(view.saw(1, seen(BASE, 1, 44, 1)));
        assert!(!view.is_complete());
        assert!(view.saw(0, seen(BASE, 1, 256, 2)));
        assert!(view.is_complete());
        assert_eq!((owner(&view, 0), owner(&view, 256)), (Some(2), Some(1)));
        assert_eq!(owner(&view, 300), None);
        let shards: Vec<_> = view.entries().map(|(shard, _)| shard.index()).collect();
        assert_eq!(shards, (0..300).collect::<Vec<u16>>());
        assert_eq!(
            view.sessions().collect::<Vec<_>>(),
            [session(2), session(1)]
        );
        assert_eq!(bucket_of(Shard::new(255)), 0);
        assert_eq!(bucket_of(Shard::new(256)), 1);
    }

    #[test]
    fn a_bucket_is_outdated_if_it_was_never_seen_or_the_head_names_a_newer_version() {
        let mut view = View::new(512);
        assert_eq!(view.outdated(), [0, 1]);
        view.saw(0, seen(BASE, 3, 256, 1));
        view.saw(1, seen(BASE, 3, 256, 1));
        let mut head = Head::new(512);
        head.versions = vec![2, 4];
        view.saw_head(1, head);
        assert_eq!(view.outdated(), [1]);
    }

    #[test]
    fn the_largest_group_has_a_last_shard() {
        let mut view = View::new(65_536);
        assert!(view.saw(255, seen(BASE, 1, 256, 1)));
        let last = view.entries().last().map(|(shard, _)| shard);
        assert_eq!(last, Some(Shard::new(u16::MAX)));
        assert_eq!(owner(&view, 65_280), Some(1));
    }
}
