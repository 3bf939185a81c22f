//! DeleteTopics: deletes topics, with an outcome for each.

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::declare::api;
use super::declare::messages;
use super::field::Read;
use super::field::Write;
use crate::error::Code;
use crate::types::TopicId;
use crate::types::TopicName;

/// Topics by their names, and others by their ids (KIP-516).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteTopicsRequest {
    pub names: Vec<TopicName>,
    pub ids: Vec<TopicId>,
    pub timeout_ms: i32,
}

/// The first version with ids.
const IDS_FROM: i16 = 6;

api! {
    DeleteTopics = 20, versions 1..=6, flexible 4.., writes;
    DeleteTopicsRequest by hand => DeleteTopicsResponse
}

messages! {
    DeleteTopicsRequest:

    /// `DeleteTopicsResponse.json`.
    response DeleteTopicsResponse {
        throttle_time_ms: i32,
        topics: Vec<DeletedTopic>,
    }
}

/// The outcome for one topic. The smallest one has four bytes on the wire, which leaves no place for an id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeletedTopic {
    /// Empty if the broker gives only an id.
    pub name: Box<str>,
    pub error: Option<Code>,
    /// The id and the broker's message, if the version has them.
    pub rest: Option<Box<(TopicId, Option<Box<str>>)>>,
}

impl DeletedTopic {
    pub fn id(&self) -> TopicId {
        self.rest.as_ref().map_or(TopicId::ZERO, |rest| rest.0)
    }

    pub fn message(&self) -> Option<&str> {
        self.rest.as_ref()?.1.as_deref()
    }
}

impl Read for DeletedTopic {
    type Value = Self;

    const FEWEST: [usize; 2] = [4, 4];

    fn read(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        let name = reader.nullable_str()?.unwrap_or_default();
        let id = if version >= IDS_FROM { reader.id()? } else { TopicId::ZERO };
        let error = reader.code()?;
        let message = if version >= 5 { reader.nullable_str()? } else { None };
        reader.skip_tags()?;
        let rest = (id != TopicId::ZERO || message.is_some()).then(|| Box::new((id, message)));
        Ok(Self { name, error, rest })
    }
}

impl Write for DeletedTopic {
    type Value = Self;

    const EXACT: bool = false;

    fn write(topic: &Self, out: &mut Chunks, version: i16) {
        out.put_string(&topic.name);
        if version >= IDS_FROM {
            out.put_id(topic.id());
        }
        out.put_code(topic.error);
        if version >= 5 {
            out.put_nullable_string(topic.message());
        }
        out.put_no_tags();
    }
}

impl DeleteTopicsRequest {
    /// Refuses ids where the version has none.
    fn check(&self, version: i16) -> Result<(), DecodeError> {
        if version < IDS_FROM && !self.ids.is_empty() {
            return Err(DecodeError::TooOld(format!("version {version} deletes no topics by id: it needs Kafka 2.8")));
        }
        Ok(())
    }

    fn put(&self, version: i16, out: &mut Chunks) {
        out.put_count(Some(self.names.len() + self.ids.len()));
        for name in &self.names {
            out.put_string(name);
            if version >= IDS_FROM {
                out.put_id(TopicId::ZERO);
                out.put_no_tags();
            }
        }
        for id in &self.ids {
            out.put_nullable_string(None);
            out.put_id(*id);
            out.put_no_tags();
        }
        out.put_i32(self.timeout_ms);
        out.put_no_tags();
    }
}
