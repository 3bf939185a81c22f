//! DescribeConfigs: the configuration of topics and brokers.

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::declare::api;
use super::declare::messages;
use super::field::Read;
use super::field::Write;
use crate::error::Code;

api! {
    DescribeConfigs = 32, versions 1..=4, flexible 4.., reads;
    DescribeConfigsRequest => DescribeConfigsResponse
}

messages! {
    DescribeConfigsRequest:

    /// `DescribeConfigsRequest.json`.
    request DescribeConfigsRequest {
        resources: Vec<ConfigResource>,
        include_synonyms: bool,
        include_documentation: bool [3..],
    }

    /// `kind`: 2 topic, 4 broker. `keys: None` requests the whole configuration.
    struct ConfigResource {
        kind: i8,
        name: String,
        keys: Option<Vec<String>>,
    }

    /// `DescribeConfigsResponse.json`.
    response DescribeConfigsResponse {
        throttle_time_ms: i32,
        results: Vec<ConfigResult>,
    }

    struct ConfigResult {
        error: Option<Code>,
        message: Option<Box<str>>,
        kind: i8,
        name: Box<str>,
        configs: Box<[ConfigEntry]>,
    }

    struct ConfigEntry {
        name: Box<str>,
        value: Option<Box<str>>,
        read_only: bool,
        source: i8,
        sensitive: bool,
        synonyms: Box<[ConfigSynonym]>,
        kind: i8 [3..],
        documentation: Option<Box<str>> [3..],
    }

    struct ConfigSynonym {
        setting: ConfigSetting,
        source: i8,
    }
}

/// A name and a value, which may be null, in one allocation: the smallest synonym has four bytes on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigSetting {
    text: Box<str>,
    name_len: u32,
    has_value: bool,
}

impl ConfigSetting {
    pub fn name(&self) -> &str {
        self.split().0
    }

    pub fn value(&self) -> Option<&str> {
        self.has_value.then(|| self.split().1)
    }

    fn split(&self) -> (&str, &str) {
        let end = usize::try_from(self.name_len).expect("a length within a frame");
        self.text.split_at(end)
    }
}

impl Read for ConfigSetting {
    type Value = Self;

    const FEWEST: [usize; 2] = [String::FEWEST[0] + String::FEWEST[0], String::FEWEST[1] + String::FEWEST[1]];

    fn read(reader: &mut Reader, _: i16) -> Result<Self, DecodeError> {
        let name = reader.str()?;
        let value = reader.nullable_str()?;
        let name_len = u32::try_from(name.len()).expect("a length within a frame");
        let text = [&*name, value.as_deref().unwrap_or_default()].concat().into();
        Ok(Self { text, name_len, has_value: value.is_some() })
    }
}

impl Write for ConfigSetting {
    type Value = Self;

    fn write(setting: &Self, out: &mut Chunks, _: i16) {
        out.put_string(setting.name());
        out.put_nullable_string(setting.value());
    }
}
