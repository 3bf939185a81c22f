//! Sources of tokens that are built in: a token endpoint, and a file.

mod assertion;
mod builder;
mod endpoint;
mod file;
pub(crate) mod grant;
mod http;
mod jwt;
mod url;

pub use self::assertion::Assertion;
pub use self::assertion::AssertionAlgorithm;
pub use self::assertion::SignedAssertion;
pub use self::builder::TokenEndpointBuilder;
pub use self::endpoint::TokenEndpoint;
pub use self::file::TokenFile;
