//! Requests of the control plane that `kafka-protocol` encodes.

use bytes::BytesMut;
use kafka_protocol::messages as kp;
use kafka_protocol::protocol::Encodable;
use kafka_protocol::protocol::StrBytes;

use super::buf::Chunks;
use super::buf::DecodeError;
use crate::types::TopicName;

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn topic_name(name: &TopicName) -> kp::TopicName {
    text(name).into()
}

/// Encodes a message of the crate. It refuses a field that the version lacks, which is a defect of this client, and a string that
/// is too long for the version.
pub(super) fn put(message: &impl Encodable, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).map_err(|error| DecodeError::Message(error.to_string()))?;
    out.put_slice(&bytes);
    Ok(())
}
