use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Entry, FormatError, READER, Session, parse, value};
use crate::lease::{FencingToken, RegisterValue};

/// How many shards a bucket has.
pub(crate) const BUCKET: u32 = 256;

/// A part of the map: its entries change together, under one version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bucket {
    /// When it was created, in Unix milliseconds. The token of a shard is this plus the version of the write that has
    /// made the owner, so tokens also grow if the bucket was lost and created anew.
    base: u64,
    pub(crate) entries: Vec<Entry>,
    unknown: Map<String, Value>,
}

/// As it is stored: columns, because most shards have only an owner and a token.
#[derive(Serialize, Deserialize)]
struct Columns {
    min_reader: u32,
    base: u64,
    /// Every session that the other fields refer to, by its index.
    sessions: Vec<Session>,
    /// −1: none.
    owner: Vec<i64>,
    /// The version that made the last owner. 0: there was none.
    made: Vec<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    next: BTreeMap<u32, usize>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    detached: BTreeSet<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    avoid: BTreeMap<u32, Vec<usize>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    last: BTreeMap<u32, u32>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

impl Bucket {
    /// One whose shards nobody owns.
    pub(crate) fn new(base: u64, shards: u32) -> Self {
        Self {
            base,
            entries: vec![Entry::default(); shards as usize],
            unknown: Map::new(),
        }
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The token of the owners that a write makes, if the register has this version after it.
    pub(crate) fn token_at(&self, version: u64) -> FencingToken {
        FencingToken::new(self.base.saturating_add(version))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, FormatError> {
        let columns: Columns = parse(text)?;
        let shards = columns.owner.len();
        if columns.made.len() != shards {
            let made = columns.made.len();
            let what = format!("{shards} owners and {made} tokens");
            return Err(FormatError::damaged(what));
        }
        let session = |index: usize| {
            let session = columns.sessions.get(index).copied();
            session.ok_or_else(|| FormatError::damaged(format!("no session {index}")))
        };
        let mut entries = Vec::with_capacity(shards);
        for (owner, made) in columns.owner.iter().zip(&columns.made) {
            let token = FencingToken::new(columns.base.saturating_add(*made));
            entries.push(Entry {
                owner: usize::try_from(*owner).ok().map(session).transpose()?,
                token: (*made > 0).then_some(token),
                ..Entry::default()
            });
        }
        let mut at = |shard: u32, change: &mut dyn FnMut(&mut Entry) -> Result<(), FormatError>| {
            let entry = entries.get_mut(shard as usize);
            let entry = entry.ok_or_else(|| FormatError::damaged(format!("no shard {shard}")))?;
            change(entry)
        };
        for (shard, index) in &columns.next {
            at(*shard, &mut |entry| {
                entry.next = Some(session(*index)?);
                Ok(())
            })?;
        }
        for shard in &columns.detached {
            at(*shard, &mut |entry| {
                entry.detached = true;
                Ok(())
            })?;
        }
        for (shard, indexes) in &columns.avoid {
            at(*shard, &mut |entry| {
                entry.avoid =
                    (indexes.iter().map(|index| session(*index))).collect::<Result<_, _>>()?;
                Ok(())
            })?;
        }
        for (shard, slot) in &columns.last {
            at(*shard, &mut |entry| {
                entry.last = Some(*slot);
                Ok(())
            })?;
        }
        let (base, unknown) = (columns.base, columns.unknown);
        Ok(Self {
            base,
            entries,
            unknown,
        })
    }

    pub(crate) fn value(&self) -> Result<RegisterValue, FormatError> {
        value(&self.columns())
    }

    fn columns(&self) -> Columns {
        let mut sessions = Vec::new();
        let mut known = BTreeMap::new();
        let mut index = |session: Session| {
            *known.entry(session).or_insert_with(|| {
                sessions.push(session);
                sessions.len() - 1
            })
        };
        let mut columns = Columns {
            min_reader: READER,
            base: self.base,
            sessions: Vec::new(),
            owner: Vec::new(),
            made: Vec::new(),
            next: BTreeMap::new(),
            detached: BTreeSet::new(),
            avoid: BTreeMap::new(),
            last: BTreeMap::new(),
            unknown: self.unknown.clone(),
        };
        for (shard, entry) in (0..).zip(&self.entries) {
            let owner = entry.owner.map_or(-1, |owner| index(owner) as i64);
            columns.owner.push(owner);
            let made = entry.token.map_or(0, |token| token.get() - self.base);
            columns.made.push(made);
            if let Some(next) = entry.next {
                columns.next.insert(shard, index(next));
            }
            if entry.detached {
                columns.detached.insert(shard);
            }
            if !entry.avoid.is_empty() {
                let avoid = entry.avoid.iter().map(|session| index(*session)).collect();
                columns.avoid.insert(shard, avoid);
            }
            if let Some(slot) = entry.last {
                columns.last.insert(shard, slot);
            }
        }
        columns.sessions = sessions;
        columns
    }
}
