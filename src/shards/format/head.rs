use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BUCKET, FormatError, READER, Session, parse, value};
use crate::lease::RegisterValue;

/// The version of the function from keys to shards.
const HASH: u32 = 1;
const FORMAT: u32 = 1;

/// What holds for the whole group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) format: u32,
    min_reader: u32,
    /// How many shards the group has: 1 to 65,536.
    pub(crate) shards: u32,
    pub(crate) hash: u32,
    /// How many shards a bucket of the map has.
    pub(crate) bucket: u32,
    /// Who plans, and writes the head.
    pub(crate) assigner: Option<Session>,
    /// The version of the plan's rules that the assigner has.
    pub(crate) assign_version: u32,
    /// How many rounds the assigner has written down: at least one per ttl, so that a resting group differs from one
    /// without an assigner.
    pub(crate) round: u64,
    /// The version of each bucket when the assigner looked last. A hint: it may lag behind.
    pub(crate) versions: Vec<u64>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

impl Head {
    /// That of a new group.
    pub(crate) fn new(shards: u32) -> Self {
        Self {
            format: FORMAT,
            min_reader: READER,
            shards,
            hash: HASH,
            bucket: BUCKET,
            assigner: None,
            assign_version: 0,
            round: 0,
            versions: vec![0; shards.div_ceil(BUCKET) as usize],
            unknown: Map::new(),
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, FormatError> {
        let head: Self = parse(text)?;
        if !(1..=65_536).contains(&head.shards) || head.bucket == 0 {
            let (shards, bucket) = (head.shards, head.bucket);
            let what = format!("{shards} shards in buckets of {bucket}");
            return Err(FormatError::damaged(what));
        }
        Ok(head)
    }

    pub(crate) fn value(&self) -> Result<RegisterValue, FormatError> {
        value(self)
    }
}
