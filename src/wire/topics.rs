//! What became of topics: CreateTopics, versions 2 to 7, and DeleteTopics, versions 1 to 6
//! (`CreateTopicsResponse.json`, `DeleteTopicsResponse.json`).

use bytes::Bytes;

use super::buf::COST_MAX;
use super::buf::DecodeError;
use super::buf::Reader;
use super::message::CreateTopicsResponse;
use super::message::DeleteTopicsResponse;
use super::message::TopicOutcome;
use super::version::Api;

/// The fewest bytes of a topic that was to be created, in version 2.
const CREATED_MIN: usize = 6;
/// The fewest bytes of a topic's setting: an empty name, no value, three bytes, no tags.
const SETTING_MIN: usize = 6;
/// The fewest bytes of a topic that was to be deleted, in version 1.
const DELETED_MIN: usize = 4;

const _: () = assert!(size_of::<TopicOutcome>() <= COST_MAX * DELETED_MIN);

impl CreateTopicsResponse {
    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= Api::CreateTopics.flexible_from());
        let throttle_time_ms = reader.i32()?;
        let topics = reader.array(CREATED_MIN, |reader| created(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, topics })
    }
}

fn created(reader: &mut Reader, version: i16) -> Result<TopicOutcome, DecodeError> {
    let name = reader.str()?;
    if version >= 7 {
        reader.id()?;
    }
    let outcome = TopicOutcome { name, error: reader.code()?, message: message(reader)? };
    if version >= 5 {
        // How many partitions and replicas it has, and its settings (KIP-525).
        reader.i32()?;
        reader.i16()?;
        reader.skip_array(SETTING_MIN, skip_setting)?;
    }
    reader.tags(|tag, field| {
        if tag == 0 {
            // Why there are no settings.
            field.i16()?;
        }
        Ok(())
    })?;
    Ok(outcome)
}

fn skip_setting(reader: &mut Reader) -> Result<(), DecodeError> {
    reader.skip_string()?;
    reader.skip_nullable_string()?;
    reader.bool()?;
    reader.i8()?;
    reader.bool()?;
    reader.skip_tags()
}

impl DeleteTopicsResponse {
    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= Api::DeleteTopics.flexible_from());
        let throttle_time_ms = reader.i32()?;
        let topics = reader.array(DELETED_MIN, |reader| deleted(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, topics })
    }
}

fn deleted(reader: &mut Reader, version: i16) -> Result<TopicOutcome, DecodeError> {
    let name = reader.nullable_str()?.unwrap_or_default();
    if version >= 6 {
        reader.id()?;
    }
    let error = reader.code()?;
    let message = if version >= 5 { message(reader)? } else { None };
    reader.skip_tags()?;
    Ok(TopicOutcome { name, error, message })
}

/// Why an outcome is what it is. An empty text says nothing.
fn message(reader: &mut Reader) -> Result<Option<Box<Box<str>>>, DecodeError> {
    Ok(reader.nullable_str()?.filter(|text| !text.is_empty()).map(Box::new))
}
