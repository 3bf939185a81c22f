//! DescribeGroups: classic groups and their members (KIP-345, KIP-1043).

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::declare::api;
use super::declare::messages;
use super::field::Message;
use super::field::Read;
use super::field::Write;
use super::texts::Texts;
use crate::error::Code;

api! {
    DescribeGroups = 15, versions 0..=6, flexible 5.., reads;
    DescribeGroupsRequest => DescribeGroupsResponse
}

messages! {
    DescribeGroupsRequest:

    /// `DescribeGroupsRequest.json`.
    request DescribeGroupsRequest {
        groups: Vec<String>,
        include_authorized_operations: bool [3..],
    }

    /// `DescribeGroupsResponse.json`.
    response DescribeGroupsResponse {
        throttle_time_ms: i32 [1..],
        groups: Vec<DescribedGroup>,
    }

    struct DescribedGroup {
        error: Option<Code>,
        error_message: Option<Box<Box<str>>> as Message [6..],
        group: Box<str>,
        /// `Dead` for a group that does not exist, below version 6.
        state: Box<str>,
        /// `consumer` for consumers; empty without members.
        protocol_type: Box<str>,
        /// The protocol that the coordinator chose; empty without a generation.
        protocol: Box<str>,
        members: Box<[DescribedMember]>,
        authorized_operations: i32 [3..] = i32::MIN,
    }
}

/// The first version with instance ids (KIP-345).
const INSTANCES: i16 = 4;

/// A member. Its strings are in one allocation: the smallest member has seven bytes on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribedMember {
    texts: Texts,
    /// Its subscription, in the format of the group's protocol type; empty unless the group is stable.
    pub metadata: Box<[u8]>,
    /// Its assignment, in the same format; empty unless the group is stable.
    pub assignment: Box<[u8]>,
}

impl DescribedMember {
    pub fn member(&self) -> &str {
        self.texts.text(0)
    }

    /// The name of a static member.
    pub fn instance(&self) -> Option<&str> {
        self.texts.get(1)
    }

    pub fn client_id(&self) -> &str {
        self.texts.text(2)
    }

    pub fn host(&self) -> &str {
        self.texts.text(3)
    }
}

impl Read for DescribedMember {
    type Value = Self;

    const FEWEST: [usize; 2] = [3 * String::FEWEST[0] + 2 * 4, 4 * String::FEWEST[1] + 2 + 1];

    fn read(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        let member = reader.str()?;
        let instance = if version >= INSTANCES { reader.nullable_str()? } else { None };
        let (client_id, host) = (reader.str()?, reader.str()?);
        let texts = [Some(&*member), instance.as_deref(), Some(&*client_id), Some(&*host)].into_iter().collect();
        let (metadata, assignment) = (reader.bytes()?[..].into(), reader.bytes()?[..].into());
        reader.skip_tags()?;
        Ok(Self { texts, metadata, assignment })
    }
}

impl Write for DescribedMember {
    type Value = Self;

    fn write(described: &Self, out: &mut Chunks, version: i16) {
        out.put_string(described.member());
        if version >= INSTANCES {
            out.put_nullable_string(described.instance());
        }
        out.put_string(described.client_id());
        out.put_string(described.host());
        for bytes in [&described.metadata, &described.assignment] {
            out.put_bytes(Some(&[&bytes.to_vec().into()]));
        }
        out.put_no_tags();
    }
}
