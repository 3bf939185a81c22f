//! DescribeClientQuotas: the quotas of users, clients and addresses (KIP-546).

use super::declare::api;
use super::declare::messages;
use super::texts::Pairs;
use super::texts::Texts;
use super::thin::ThinList;
use crate::error::Code;

api! {
    DescribeClientQuotas = 48, versions 0..=1, flexible 1.., reads;
    DescribeClientQuotasRequest => DescribeClientQuotasResponse
}

messages! {
    DescribeClientQuotasRequest:

    /// `DescribeClientQuotasRequest.json`. `strict` leaves out entities with parts that the filter does not name.
    request DescribeClientQuotasRequest {
        components: Vec<QuotaFilter>,
        strict: bool,
    }

    /// `match_kind`: 0 this name, 1 the default, 2 any name.
    struct QuotaFilter {
        entity_kind: String,
        match_kind: i8,
        name: Option<String>,
    }

    /// `DescribeClientQuotasResponse.json`.
    response DescribeClientQuotasResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        error_message: Option<Box<str>>,
        entries: Option<Vec<QuotaEntry>>,
    }

    struct QuotaEntry {
        /// The type and the name of each part. The name of a default is null.
        entity: Texts as Pairs,
        values: ThinList<QuotaValue>,
    }

    struct QuotaValue {
        key: Box<str>,
        /// The bits of a `float64`.
        value: i64,
    }
}
