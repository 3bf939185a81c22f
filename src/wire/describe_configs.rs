//! DescribeConfigs: the configuration of topics and brokers.

use super::declare::api;
use super::declare::messages;
use super::field::Thin;
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

    /// `kind`: 2 topic, 4 broker. `keys: None` asks for the whole configuration.
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
        name: Box<str>,
        value: Option<Box<Box<str>>> as Thin,
        source: i8,
    }
}
