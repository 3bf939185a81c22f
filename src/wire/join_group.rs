//! JoinGroup: a member joins a group, or joins it again (KIP-345, KIP-394, KIP-559, KIP-800, KIP-814).

use bytes::Bytes;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::declare::api;
use super::declare::messages;
use super::field::Read;
use super::field::Write;
use crate::error::Code;

api! {
    JoinGroup = 11, versions 2..=9, flexible 6.., writes;
    JoinGroupRequest => JoinGroupResponse
}

messages! {
    JoinGroupRequest:

    /// `JoinGroupRequest.json`.
    request JoinGroupRequest {
        group: String,
        session_timeout_ms: i32,
        rebalance_timeout_ms: i32,
        /// Empty until the coordinator has given one.
        member: String,
        instance: Option<String> [5..],
        protocol_type: String,
        protocols: Vec<OfferedProtocol>,
        reason: Option<String> [8..],
    }

    /// A way of assigning partitions that the member supports, and its subscription for it.
    struct OfferedProtocol {
        name: String,
        metadata: Bytes,
    }

    /// `JoinGroupResponse.json`.
    response JoinGroupResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        generation: i32 = -1,
        protocol_type: Option<String> [7..],
        /// Null only in errors, from version 7 on.
        protocol: Option<String>,
        leader: String,
        skip_assignment: bool [9..],
        member: String,
        /// Empty, except in the response to the leader.
        members: Vec<JoinedMember>,
    }
}

/// A member of the group, as the leader sees it.
///
/// Its three fields are in one allocation: the smallest member has four bytes on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JoinedMember {
    bytes: Box<[u8]>,
    id_len: u32,
    /// The length of the instance id. [`NO_INSTANCE`] is null.
    instance_len: u32,
}

const NO_INSTANCE: u32 = u32::MAX;
/// The first version with instance ids (KIP-345).
const INSTANCES: i16 = 5;

impl JoinedMember {
    /// A member with an id, an instance id if it is static, and a subscription.
    pub fn new(id: &str, instance: Option<&str>, metadata: &[u8]) -> Self {
        let length = |text: &str| u32::try_from(text.len()).expect("a length within a frame");
        Self {
            bytes: [id.as_bytes(), instance.unwrap_or_default().as_bytes(), metadata].concat().into(),
            id_len: length(id),
            instance_len: instance.map_or(NO_INSTANCE, length),
        }
    }

    pub fn id(&self) -> &str {
        text(self.split().0)
    }

    pub fn instance(&self) -> Option<&str> {
        (self.instance_len != NO_INSTANCE).then(|| text(self.split().1))
    }

    pub fn metadata(&self) -> &[u8] {
        self.split().2
    }

    fn split(&self) -> (&[u8], &[u8], &[u8]) {
        let index = |length: u32| usize::try_from(length).expect("a length within a frame");
        let (id, rest) = self.bytes.split_at(index(self.id_len));
        let instance = if self.instance_len == NO_INSTANCE { 0 } else { index(self.instance_len) };
        let (instance, metadata) = rest.split_at(instance);
        (id, instance, metadata)
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("made of a str")
}

impl Read for JoinedMember {
    type Value = Self;

    const FEWEST: [usize; 2] =
        [String::FEWEST[0] + Bytes::FEWEST[0], String::FEWEST[1] + <Option<String>>::FEWEST[1] + Bytes::FEWEST[1] + 1];

    fn read(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        let id = reader.str()?;
        let instance = if version >= INSTANCES { reader.nullable_str()? } else { None };
        let metadata = reader.bytes()?;
        reader.skip_tags()?;
        Ok(Self::new(&id, instance.as_deref(), &metadata))
    }
}

impl Write for JoinedMember {
    type Value = Self;

    fn write(member: &Self, out: &mut Chunks, version: i16) {
        out.put_string(member.id());
        if version >= INSTANCES {
            out.put_nullable_string(member.instance());
        }
        out.put_bytes(Some(&[&Bytes::copy_from_slice(member.metadata())]));
        out.put_no_tags();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_member_keeps_its_three_fields_apart() {
        let member = JoinedMember::new("id", Some("instance"), b"subscription");
        let fields = (member.id(), member.instance(), member.metadata());
        assert_eq!(fields, ("id", Some("instance"), &b"subscription"[..]));
        let member = JoinedMember::new("", None, b"");
        assert_eq!((member.id(), member.instance(), member.metadata()), ("", None, &[][..]));
        assert_eq!(JoinedMember::new("", Some(""), b"").instance(), Some(""));
    }
}
