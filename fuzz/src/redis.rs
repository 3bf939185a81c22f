//! The target in which the bytes are replies of Redis.

use bytes::BytesMut;
use ottla::internals::redis::Decoder;
use ottla::internals::redis::Malformed;
use ottla::internals::redis::Value;

/// Longer inputs are not written again: their lines might be too long then.
const LENGTH_MAX: usize = 16 << 10;

/// Replies: the size of the pieces in which they arrive, then their bytes.
pub fn redis(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    let (replies, end) = split(stream, stream.len().max(1));
    assert_eq!(split(stream, usize::from(*piece) + 1), (replies.clone(), end), "in pieces of {piece}");
    assert!(replies.iter().all(|reply| depth(reply) <= 8 + 1), "{replies:?}");
    replies.iter().for_each(classify);
    // An error becomes text, which may be longer than its bytes.
    if stream.len() > LENGTH_MAX {
        return;
    }
    let mut written = Vec::new();
    for reply in &replies {
        reply.encode(&mut written);
    }
    assert_eq!(split(&written, written.len().max(1)), (replies, None), "it does not survive");
}

fn split(stream: &[u8], piece: usize) -> (Vec<Value>, Option<Malformed>) {
    let (mut decoder, mut arrived, mut replies) = (Decoder::default(), BytesMut::new(), Vec::new());
    for piece in stream.chunks(piece) {
        arrived.extend_from_slice(piece);
        loop {
            match decoder.next(&mut arrived) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(malformed) => {
                    assert!(!malformed.to_string().is_empty());
                    return (replies, Some(malformed));
                }
            }
        }
        assert!(arrived.capacity() <= 4 * stream.len() + 1_024, "an announced number reserved {}", arrived.capacity());
    }
    (replies, None)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Finds the code of each error.
fn classify(value: &Value) {
    match value {
        Value::Array(values) => values.iter().for_each(classify),
        Value::Error(refusal) => drop((refusal.code(), refusal.to_string())),
        _ => {}
    }
}
