use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    lease::{CandidateId, InvalidName, Metadata, ResourceName, Scope},
    timing::Timing,
};

/// What holds for one member of a group.
#[derive(Clone, Debug)]
pub(crate) struct GroupConfig {
    pub(crate) names: Names,
    /// 1 to 65,536.
    pub(crate) shards: u32,
    /// Drawn by the library, so that no other process has it.
    pub(crate) candidate: CandidateId,
    pub(crate) info: MemberInfo,
    pub(crate) timing: Timing,
    /// How long an owner waits for the acknowledgement of its actor.
    pub(crate) handoff_timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The names of a group's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    group: ResourceName,
    pub(crate) slots: Scope,
    pub(crate) map: Scope,
    pub(crate) head: ResourceName,
    pub(crate) wishes: ResourceName,
}

impl Names {
    /// The longest name that a group may have: the longest of its records fits into that of a resource.
    pub(crate) const MAX_BYTES: usize = 236;

    pub(crate) fn new(group: &str) -> Result<Self, InvalidName> {
        let name = ResourceName::new(group)?;
        let (what, len, max) = ("group name", group.len(), Self::MAX_BYTES);
        if len > max {
            return Err(InvalidName::TooLong { what, len, max });
        }
        Ok(Self {
            slots: Scope::new(format!("{group}/members"))?,
            map: Scope::new(format!("{group}/map"))?,
            head: ResourceName::new(format!("{group}/head"))?,
            wishes: ResourceName::new(format!("{group}/wishes"))?,
            group: name,
        })
    }

    pub(crate) fn group(&self) -> &ResourceName {
        &self.group
    }

    pub(crate) fn slot(&self, slot: u32) -> ResourceName {
        self.below(&format!("members/{slot}"))
    }

    pub(crate) fn bucket(&self, bucket: u32) -> ResourceName {
        self.below(&format!("map/{bucket}"))
    }

    pub(crate) fn shard(&self, shard: super::Shard) -> ResourceName {
        self.below(&format!("shards/{shard}"))
    }

    fn below(&self, name: &str) -> ResourceName {
        let name = ResourceName::new(format!("{}/{name}", self.group));
        name.expect("the name of a group leaves room, and has been checked")
    }

    /// The number at the end of the name of a slot or a bucket.
    pub(crate) fn number(name: &ResourceName) -> Option<u32> {
        let (_, last) = name.as_str().rsplit_once('/')?;
        last.parse().ok()
    }
}

/// What a member publishes in its slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberInfo {
    /// For people, and for operators to name it by. Several members may have the same.
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) advertise: Option<String>,
    pub(crate) weight: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_shards: Option<u32>,
    /// The version of the plan's rules that it has.
    pub(crate) assign_version: u32,
    /// It is no member: somebody has taken the slot of a dead session, to give it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) fence: bool,
}

impl MemberInfo {
    pub(crate) fn metadata(&self) -> Result<Metadata, InvalidName> {
        // It has no map whose keys could be invalid, so it always has a text.
        let text = serde_json::to_string(self).unwrap_or_default();
        Metadata::new(text)
    }

    pub(crate) fn parse(metadata: &Metadata) -> Option<Self> {
        serde_json::from_str(metadata.as_str()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shards::Shard;

    #[test]
    fn the_longest_group_name_leaves_room_for_its_records() {
        let group = "g".repeat(Names::MAX_BYTES);
        let names = Names::new(&group).unwrap();
        for name in [
            names.slot(u32::MAX),
            names.bucket(255),
            names.shard(Shard::new(u16::MAX)),
        ] {
            assert!(name.as_str().starts_with(&group), "{name}");
        }
        let error = Names::new(&format!("{group}g")).unwrap_err().to_string();
        assert_eq!(
            error,
            "a group name of 237 bytes is too long: at most 236 bytes are allowed"
        );
    }

    #[test]
    fn the_records_of_a_group_lie_below_it_and_have_their_numbers() {
        let names = Names::new("shop/orders").unwrap();
        assert_eq!(names.group().as_str(), "shop/orders");
        assert_eq!(names.slot(7).as_str(), "shop/orders/members/7");
        assert_eq!(names.slot(7).scope(), names.slots);
        assert_eq!(names.bucket(3).scope(), names.map);
        assert_eq!(names.head.as_str(), "shop/orders/head");
        assert_eq!(names.wishes.as_str(), "shop/orders/wishes");
        assert_eq!(Names::number(&names.slot(7)), Some(7));
        assert_eq!(Names::number(&names.head), None);
        assert!(Names::new("").is_err());
    }

    #[test]
    fn what_a_member_publishes_is_read_as_it_was_written_and_a_later_version_may_say_more() {
        let mut info = MemberInfo {
            name: "host-7".to_owned(),
            advertise: Some("10.0.0.7:80".to_owned()),
            weight: 2,
            max_shards: Some(400),
            assign_version: 1,
            fence: false,
        };
        assert_eq!(
            MemberInfo::parse(&info.metadata().unwrap()),
            Some(info.clone())
        );
        let text = info.metadata().unwrap();
        let more = text.as_str().replacen('{', "{\"zone\":\"a\",", 1);
        let more = Metadata::new(more).unwrap();
        assert_eq!(MemberInfo::parse(&more), Some(info.clone()));
        assert_eq!(
            MemberInfo::parse(&Metadata::new("10.0.0.7:80").unwrap()),
            None
        );
        info.name = "x".repeat(4096);
        assert!(info.metadata().is_err());
    }
}
