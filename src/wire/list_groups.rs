//! ListGroups: the groups that a broker coordinates (KIP-518, KIP-848).

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::declare::api;
use super::declare::messages;
use super::field::Read;
use super::field::Write;
use super::texts::Texts;
use crate::error::Code;

api! {
    ListGroups = 16, versions 0..=5, flexible 3.., reads;
    ListGroupsRequest => ListGroupsResponse
}

messages! {
    ListGroupsRequest:

    /// `ListGroupsRequest.json`. Empty filters match every group.
    request ListGroupsRequest {
        states: Vec<String> [4..],
        types: Vec<String> [5..],
    }

    /// `ListGroupsResponse.json`.
    response ListGroupsResponse {
        throttle_time_ms: i32 [1..],
        error: Option<Code>,
        groups: Vec<ListedGroup>,
    }
}

/// The first version with the state of each group (KIP-518).
const STATES: i16 = 4;
/// The first version with the type of each group (KIP-848).
const TYPES: i16 = 5;

/// A group. Its strings are in one allocation: the smallest group has three bytes on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedGroup(Texts);

impl ListedGroup {
    pub fn group(&self) -> &str {
        self.0.text(0)
    }

    /// `consumer` for consumers; empty for a group that only has offsets.
    pub fn protocol_type(&self) -> &str {
        self.0.text(1)
    }

    /// `None` below version 4.
    pub fn state(&self) -> Option<&str> {
        self.0.get(2)
    }

    /// `None` below version 5.
    pub fn kind(&self) -> Option<&str> {
        self.0.get(3)
    }
}

impl Read for ListedGroup {
    type Value = Self;

    const FEWEST: [usize; 2] = [String::FEWEST[0] + String::FEWEST[0], String::FEWEST[1] + String::FEWEST[1] + 1];

    fn read(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        let (group, protocol_type) = (reader.str()?, reader.str()?);
        let state = if version >= STATES { Some(reader.str()?) } else { None };
        let kind = if version >= TYPES { Some(reader.str()?) } else { None };
        reader.skip_tags()?;
        Ok(Self([Some(&*group), Some(&*protocol_type), state.as_deref(), kind.as_deref()].into_iter().collect()))
    }
}

impl Write for ListedGroup {
    type Value = Self;

    fn write(listed: &Self, out: &mut Chunks, version: i16) {
        out.put_string(listed.group());
        out.put_string(listed.protocol_type());
        if version >= STATES {
            out.put_string(listed.state().unwrap_or_default());
        }
        if version >= TYPES {
            out.put_string(listed.kind().unwrap_or_default());
        }
        out.put_no_tags();
    }
}
