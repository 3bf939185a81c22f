//! The headers of frames, and a log of those that passed.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;

/// The direction of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the broker.
    Request,
    /// To the client.
    Response,
}

/// A frame that arrived at the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The time since the proxy began.
    pub at: Duration,
    /// The connection, counted from one.
    pub connection: u64,
    /// The direction.
    pub direction: Direction,
    /// The API key; −1 for a response to no request, and for a record of TLS.
    pub api_key: i16,
    /// The version.
    pub version: i16,
    /// The correlation id.
    pub correlation: i32,
    /// The size in bytes, without its prefix.
    pub length: usize,
    /// Its fault, if any.
    pub fault: Option<String>,
}

/// The number of logged frames.
const FRAMES_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct FrameLog(VecDeque<Frame>);

impl FrameLog {
    pub(super) fn push(&mut self, frame: Frame) {
        if self.0.len() == FRAMES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(frame);
    }

    pub(super) fn to_vec(&self) -> Vec<Frame> {
        self.0.iter().cloned().collect()
    }
}

/// The requests of a connection that wait for their responses.
#[derive(Debug, Default)]
pub struct Correlations(HashMap<i32, (i16, i16)>);

impl Correlations {
    /// Reads the head of a frame: API key, version and correlation id. `None` where it is too short to have one.
    pub fn head(&mut self, direction: Direction, frame: &[u8]) -> Option<(i16, i16, i32)> {
        match direction {
            Direction::Request => {
                let head: &[u8; 8] = frame.first_chunk()?;
                let api_key = i16::from_be_bytes([head[0], head[1]]);
                let version = i16::from_be_bytes([head[2], head[3]]);
                let correlation = i32::from_be_bytes([head[4], head[5], head[6], head[7]]);
                self.0.insert(correlation, (api_key, version));
                Some((api_key, version, correlation))
            }
            Direction::Response => {
                let correlation = i32::from_be_bytes(*frame.first_chunk()?);
                let (api_key, version) = self.0.remove(&correlation).unwrap_or((-1, -1));
                Some((api_key, version, correlation))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_known_by_its_request() {
        let mut correlations = Correlations::default();
        let request = [0, 3, 0, 12, 0, 0, 0, 7, 99];
        assert_eq!(correlations.head(Direction::Request, &request), Some((3, 12, 7)));
        assert_eq!(correlations.head(Direction::Response, &[0, 0, 0, 7]), Some((3, 12, 7)));
        assert_eq!(correlations.head(Direction::Response, &[0, 0, 0, 7]), Some((-1, -1, 7)));
        assert_eq!(correlations.head(Direction::Response, &[0, 0, 7]), None);
    }
}
