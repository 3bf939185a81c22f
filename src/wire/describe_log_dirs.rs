//! DescribeLogDirs: the log directories of a broker, and the replicas in them (KIP-113, KIP-827).

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::declare::api;
use super::declare::messages;
use super::field::Read;
use super::field::Write;
use super::message::TopicIndexes;
use super::thin::ThinList;
use crate::error::Code;

api! {
    DescribeLogDirs = 35, versions 1..=4, flexible 2.., reads;
    DescribeLogDirsRequest => DescribeLogDirsResponse
}

messages! {
    DescribeLogDirsRequest:

    /// `DescribeLogDirsRequest.json`. `topics: None` requests the replicas of all topics.
    request DescribeLogDirsRequest {
        topics: Option<Vec<TopicIndexes>>,
    }

    /// `DescribeLogDirsResponse.json`.
    response DescribeLogDirsResponse {
        throttle_time_ms: i32,
        error: Option<Code> [3..],
        results: Vec<DescribedLogDir>,
    }

    struct DescribedLogDir {
        error: Option<Code>,
        path: Box<str>,
        topics: ThinList<LogDirTopic>,
        space: Option<Box<LogDirSpace>> as LogDirSpace [4..],
    }

    struct LogDirTopic {
        name: Box<str>,
        partitions: ThinList<LogDirReplica>,
    }

    struct LogDirReplica {
        index: i32,
        size: i64,
        offset_lag: i64,
        /// Whether the broker moves the replica into this directory, and will use it then.
        is_future: bool,
    }
}

/// The bytes of a volume; −1 where they are unknown. Behind a pointer, because the smallest directory has five bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LogDirSpace {
    pub total: i64,
    pub usable: i64,
}

impl Read for LogDirSpace {
    type Value = Option<Box<Self>>;

    const FEWEST: [usize; 2] = [16, 16];

    fn read(reader: &mut Reader, _: i16) -> Result<Self::Value, DecodeError> {
        Ok(Some(Box::new(Self { total: reader.i64()?, usable: reader.i64()? })))
    }
}

impl Write for LogDirSpace {
    type Value = Option<Box<Self>>;

    fn write(space: &Self::Value, out: &mut Chunks, _: i16) {
        let (total, usable) = space.as_ref().map_or((-1, -1), |space| (space.total, space.usable));
        out.put_i64(total);
        out.put_i64(usable);
    }
}
