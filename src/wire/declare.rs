//! Macros that declare an API and its messages, each once.
//!
//! ```text
//! api! {
//!     DescribeConfigs = 32, versions 1..=4, flexible 4.., reads;
//!     DescribeConfigsRequest => DescribeConfigsResponse
//! }
//!
//! messages! {
//!     DescribeConfigsRequest:
//!
//!     response DescribeConfigsResponse {
//!         throttle_time_ms: i32,
//!         results: Vec<ConfigResult>,
//!     }
//!
//!     struct ConfigResult {
//!         error: Option<Code>,
//!         message: Option<Box<str>>,
//!         ...
//!     }
//! }
//! ```
//!
//! `reads` marks a read-only API. A request that identifies topics by ids in later versions has `[by name ..=9]`, the last version
//! with names, and a method `lacks_id`. `XRequest by hand => …` marks a request that is written in its own method `put`, because its
//! form changes between versions; it is never read here.
//!
//! Fields are in the order of the wire. `[7..]` after a type gives the versions with the field, `[tag 0]` the tag of a tagged
//! field. `= -1` is the value of an absent field; without it, that is the type's default. `as` names an encoding other than the
//! type's own. A field `_` is skipped when reading, and has its default when writing.
//!
//! A `request` and a `response` are structs with `encode` and `decode`. `layout X for T` is an encoding of a type that is declared
//! elsewhere. A `part` is a layout without tagged fields of its own: its fields are those of the message around it.

/// Declares an API: its number, its versions, its request and its response.
macro_rules! api {
    (
        $api:ident = $key:literal, versions $low:literal ..= $high:literal, flexible $flexible:literal ..,
        $access:ident $([by name ..= $by_name:literal])?;
        $request:ident $(by $encoder:ident)? => $response:ident
    ) => {
        impl crate::wire::Call for $request {
            type Response = $response;

            const API: crate::wire::Api = crate::wire::Api::$api;
            const KEY: i16 = $key;
            const VERSIONS: (i16, i16) = ($low, $high);
            const FLEXIBLE_FROM: i16 = $flexible;
            const READ_ONLY: bool = crate::wire::declare::api!(@read_only $access);
            const EXACT: bool = <$response>::EXACT;

            $(fn version_max(&self) -> i16 {
                if self.lacks_id() { $by_name } else { i16::MAX }
            })?

            crate::wire::declare::api!(@request $request $($encoder)?);

            fn encode_response(response: &$response, version: i16, out: &mut crate::wire::buf::Chunks) {
                response.encode(version, out);
            }

            fn decode(version: i16, body: bytes::Bytes) -> Result<$response, crate::wire::DecodeError> {
                <$response>::decode(version, body)
            }

            fn throttle_time_ms(response: &$response) -> i32 {
                response.throttle_time_ms
            }

            fn response(response: crate::wire::Response) -> Result<$response, crate::error::Error> {
                match response {
                    crate::wire::Response::$api(response) => Ok(response),
                    _ => Err(crate::wire::call::unexpected(Self::API)),
                }
            }
        }
    };
    (@read_only reads) => { true };
    (@read_only writes) => { false };

    (@request $request:ident hand) => {
        fn put(&self, version: i16, out: &mut crate::wire::buf::Chunks) -> Result<(), crate::wire::DecodeError> {
            self.check(version)?;
            out.set_flexible(version >= Self::FLEXIBLE_FROM);
            <$request>::put(self, version, out);
            Ok(())
        }

        fn decode_request(_: i16, _: bytes::Bytes) -> Option<Result<Self, crate::wire::DecodeError>> {
            None
        }
    };
    (@request $request:ident) => {
        fn put(&self, version: i16, out: &mut crate::wire::buf::Chunks) -> Result<(), crate::wire::DecodeError> {
            self.check(version)?;
            self.encode(version, out);
            Ok(())
        }

        fn decode_request(version: i16, body: bytes::Bytes) -> Option<Result<Self, crate::wire::DecodeError>> {
            Some(<$request>::decode(version, body))
        }
    };
}

/// Declares the messages of an API, and the structs within them.
macro_rules! messages {
    ($request:ident: $($rest:tt)*) => { crate::wire::declare::messages!(@item $request $($rest)*); };

    (@item $request:ident) => {};
    (@item $request:ident $(#[$attr:meta])* request $name:ident { $($field:tt)* } $($rest:tt)*) => {
        crate::wire::declare::messages!(@struct $request [$(#[$attr])*] $name {} $($field)*);
        crate::wire::declare::messages!(@layout $request tags $name $name {} {} $($field)*);
        crate::wire::declare::messages!(@body $request $name);
        crate::wire::declare::messages!(@item $request $($rest)*);
    };
    (@item $request:ident $(#[$attr:meta])* response $name:ident { $($field:tt)* } $($rest:tt)*) => {
        crate::wire::declare::messages!(@struct $request [$(#[$attr])*] $name {} $($field)*);
        crate::wire::declare::messages!(@layout $request tags $name $name {} {} $($field)*);
        crate::wire::declare::messages!(@body $request $name);
        const _: () = assert!(<$name as crate::wire::field::Wire>::BOUNDED, "an element takes too much memory");
        crate::wire::declare::messages!(@item $request $($rest)*);
    };
    (@item $request:ident $(#[$attr:meta])* struct $name:ident { $($field:tt)* } $($rest:tt)*) => {
        crate::wire::declare::messages!(@struct $request [$(#[$attr])*] $name {} $($field)*);
        crate::wire::declare::messages!(@layout $request tags $name $name {} {} $($field)*);
        crate::wire::declare::messages!(@item $request $($rest)*);
    };
    (@item $request:ident $(#[$attr:meta])* layout $name:ident for $type:ident { $($field:tt)* } $($rest:tt)*) => {
        $(#[$attr])*
        #[derive(Debug)]
        pub struct $name;
        crate::wire::declare::messages!(@layout $request tags $name $type {} {} $($field)*);
        crate::wire::declare::messages!(@item $request $($rest)*);
    };
    (@item $request:ident $(#[$attr:meta])* part $name:ident for $type:ident { $($field:tt)* } $($rest:tt)*) => {
        $(#[$attr])*
        #[derive(Debug)]
        pub struct $name;
        crate::wire::declare::messages!(@layout $request no_tags $name $type {} {} $($field)*);
        crate::wire::declare::messages!(@item $request $($rest)*);
    };

    // A body of its own.
    (@body $request:ident $name:ident) => {
        impl $name {
            /// Whether it keeps every field, so that it encodes to the bytes it was decoded from.
            pub const EXACT: bool = <Self as crate::wire::field::Wire>::EXACT;

            pub fn encode(&self, version: i16, out: &mut crate::wire::buf::Chunks) {
                out.set_flexible(version >= <$request as crate::wire::Call>::FLEXIBLE_FROM);
                <Self as crate::wire::field::Wire>::write(self, out, version);
            }

            pub fn decode(version: i16, body: bytes::Bytes) -> Result<Self, crate::wire::DecodeError> {
                let flexible = version >= <$request as crate::wire::Call>::FLEXIBLE_FROM;
                let mut reader = crate::wire::buf::Reader::new(body, flexible);
                <Self as crate::wire::field::Wire>::read(&mut reader, version)
            }
        }
    };

    // The struct: every field that is not skipped.
    (@struct $request:ident [$($attr:tt)*] $name:ident { $($kept:tt)* }) => {
        $($attr)*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name { $($kept)* }
    };
    (@struct $request:ident $attrs:tt $name:ident $kept:tt
        $(#[$attr:meta])* _: $type:ty $(as $layout:ty)? $([$($when:tt)*])? $(= $default:expr)?, $($rest:tt)*) => {
        crate::wire::declare::messages!(@struct $request $attrs $name $kept $($rest)*);
    };
    (@struct $request:ident $attrs:tt $name:ident { $($kept:tt)* }
        $(#[$attr:meta])* $field:ident: $type:ty $(as $layout:ty)? $([$($when:tt)*])? $(= $default:expr)?, $($rest:tt)*) => {
        crate::wire::declare::messages!(@struct $request $attrs $name { $($kept)* $(#[$attr])* pub $field: $type, } $($rest)*);
    };

    // The encoding: fields are normalised, then encoded in order.
    (@layout $request:ident $tags:ident $name:ident $type:ident { $($kept:ident)* } { $($field:tt)* }
        $(#[$attr:meta])* _: $layout:ty $([$($when:tt)*])?, $($rest:tt)*) => {
        crate::wire::declare::messages!(@layout $request $tags $name $type { $($kept)* }
            { $($field)* [_, $layout, ($($($when)*)?), ()] } $($rest)*);
    };
    (@layout $request:ident $tags:ident $name:ident $type:ident { $($kept:ident)* } { $($fields:tt)* }
        $(#[$attr:meta])* $field:ident: $own:ty as $layout:ty $([$($when:tt)*])? $(= $default:expr)?, $($rest:tt)*) => {
        crate::wire::declare::messages!(@layout $request $tags $name $type { $($kept)* $field }
            { $($fields)* [$field, $layout, ($($($when)*)?), ($($default)?)] } $($rest)*);
    };
    (@layout $request:ident $tags:ident $name:ident $type:ident { $($kept:ident)* } { $($fields:tt)* }
        $(#[$attr:meta])* $field:ident: $own:ty $([$($when:tt)*])? $(= $default:expr)?, $($rest:tt)*) => {
        crate::wire::declare::messages!(@layout $request $tags $name $type { $($kept)* $field }
            { $($fields)* [$field, $own, ($($($when)*)?), ($($default)?)] } $($rest)*);
    };
    (@layout $request:ident $tags:ident $name:ident $type:ident { $($kept:ident)* }
        { $([$field:tt, $layout:ty, $when:tt, $default:tt])* }) => {
        impl crate::wire::field::Wire for $name {
            type Value = $type;

            const CLASSIC: usize = {
                let (mut version, last) = <$request as crate::wire::Call>::VERSIONS;
                let mut fewest = usize::MAX;
                while version <= last && version < <$request as crate::wire::Call>::FLEXIBLE_FROM {
                    let bytes = 0_usize $(.saturating_add(crate::wire::declare::field!(@len version CLASSIC $layout, $when)))*;
                    if bytes < fewest {
                        fewest = bytes;
                    }
                    version += 1;
                }
                fewest
            };
            const COMPACT: usize = {
                let (first, last) = <$request as crate::wire::Call>::VERSIONS;
                let mut version = <$request as crate::wire::Call>::FLEXIBLE_FROM;
                if version < first {
                    version = first;
                }
                let mut fewest = usize::MAX;
                while version <= last {
                    let bytes = crate::wire::declare::field!(@tags_len $tags)
                        $(.saturating_add(crate::wire::declare::field!(@len version COMPACT $layout, $when)))*;
                    if bytes < fewest {
                        fewest = bytes;
                    }
                    version += 1;
                }
                fewest
            };
            const EXACT: bool = true $(&& crate::wire::declare::field!(@exact $field $layout))*;
            const BOUNDED: bool = true $(&& <$layout as crate::wire::field::Wire>::BOUNDED)*;

            fn read(reader: &mut crate::wire::buf::Reader, version: i16) -> Result<$type, crate::wire::DecodeError> {
                $(crate::wire::declare::field!(@read reader version $field, $layout, $when, $default);)*
                crate::wire::declare::field!(@read_tags $tags reader |tag, field| {
                    $(crate::wire::declare::field!(@read_tag tag field version $field, $layout, $when);)*
                });
                #[allow(clippy::needless_update, reason = "some layouts have every field")]
                Ok($type { $($kept,)* ..Default::default() })
            }

            #[allow(unused_variables, reason = "some structs keep no field")]
            fn write(value: &$type, out: &mut crate::wire::buf::Chunks, version: i16) {
                $(crate::wire::declare::field!(@write value out version $field, $layout, $when);)*
                crate::wire::declare::field!(@write_tags $tags out tags {
                    $(crate::wire::declare::field!(@write_tag value tags version $field, $layout, $when);)*
                });
            }
        }
    };
}

/// One field of a layout: `()` is in every version, `(tag 0)` is tagged, `(7..)` is in these versions.
macro_rules! field {
    (@len $version:ident $form:ident $layout:ty, ()) => { <$layout as crate::wire::field::Wire>::$form };
    (@len $version:ident $form:ident $layout:ty, (tag $tag:literal)) => { 0 };
    (@len $version:ident $form:ident $layout:ty, ($($versions:tt)*)) => {
        if matches!($version, $($versions)*) { <$layout as crate::wire::field::Wire>::$form } else { 0 }
    };
    (@exact _ $layout:ty) => { false };
    (@exact $field:ident $layout:ty) => { <$layout as crate::wire::field::Wire>::EXACT };

    (@tags_len tags) => { 1_usize };
    (@tags_len no_tags) => { 0_usize };

    (@default ()) => { Default::default() };
    (@default ($default:expr)) => { $default };

    (@read $reader:ident $version:ident _, $layout:ty, (), $default:tt) => {
        <$layout as crate::wire::field::Wire>::skip($reader, $version)?;
    };
    (@read $reader:ident $version:ident _, $layout:ty, (tag $tag:literal), $default:tt) => {};
    (@read $reader:ident $version:ident _, $layout:ty, ($($versions:tt)*), $default:tt) => {
        if matches!($version, $($versions)*) {
            <$layout as crate::wire::field::Wire>::skip($reader, $version)?;
        }
    };
    (@read $reader:ident $version:ident $field:ident, $layout:ty, (), $default:tt) => {
        let $field = <$layout as crate::wire::field::Wire>::read($reader, $version)?;
    };
    (@read $reader:ident $version:ident $field:ident, $layout:ty, (tag $tag:literal), $default:tt) => {
        let mut $field = crate::wire::declare::field!(@default $default);
    };
    (@read $reader:ident $version:ident $field:ident, $layout:ty, ($($versions:tt)*), $default:tt) => {
        let $field = if matches!($version, $($versions)*) {
            <$layout as crate::wire::field::Wire>::read($reader, $version)?
        } else {
            crate::wire::declare::field!(@default $default)
        };
    };

    (@read_tags no_tags $reader:ident |$tag:ident, $field:ident| { $($read:tt)* }) => {};
    (@read_tags tags $reader:ident |$tag:ident, $field:ident| { $($read:tt)* }) => {
        #[allow(unused_variables, reason = "most structs have no tagged field")]
        $reader.tags(|$tag, $field| {
            $($read)*
            Ok(())
        })?
    };
    (@read_tag $tag:ident $reader:ident $version:ident _, $layout:ty, (tag $number:literal)) => {
        if $tag == $number {
            <$layout as crate::wire::field::Wire>::skip($reader, $version)?;
        }
    };
    (@read_tag $tag:ident $reader:ident $version:ident $field:ident, $layout:ty, (tag $number:literal)) => {
        if $tag == $number {
            $field = <$layout as crate::wire::field::Wire>::read($reader, $version)?;
        }
    };
    (@read_tag $tag:ident $reader:ident $version:ident $field:tt, $layout:ty, $when:tt) => {};

    (@write $value:ident $out:ident $version:ident $field:tt, $layout:ty, (tag $tag:literal)) => {};
    (@write $value:ident $out:ident $version:ident _, $layout:ty, ()) => {
        <$layout as crate::wire::field::Wire>::write(&Default::default(), $out, $version);
    };
    (@write $value:ident $out:ident $version:ident _, $layout:ty, ($($versions:tt)*)) => {
        if matches!($version, $($versions)*) {
            <$layout as crate::wire::field::Wire>::write(&Default::default(), $out, $version);
        }
    };
    (@write $value:ident $out:ident $version:ident $field:ident, $layout:ty, ()) => {
        <$layout as crate::wire::field::Wire>::write(&$value.$field, $out, $version);
    };
    (@write $value:ident $out:ident $version:ident $field:ident, $layout:ty, ($($versions:tt)*)) => {
        if matches!($version, $($versions)*) {
            <$layout as crate::wire::field::Wire>::write(&$value.$field, $out, $version);
        }
    };

    (@write_tags no_tags $out:ident $tags:ident { $($write:tt)* }) => {};
    (@write_tags tags $out:ident $tags:ident { $($write:tt)* }) => {
        #[allow(unused_mut, reason = "most structs have no tagged field")]
        let mut $tags = Vec::new();
        $($write)*
        $out.put_tags(&$tags)
    };
    // A tagged field that has its default is not written.
    (@write_tag $value:ident $tags:ident $version:ident $field:ident, $layout:ty, (tag $number:literal)) => {
        if $value.$field != <<$layout as crate::wire::field::Wire>::Value as Default>::default() {
            let write = |out: &mut crate::wire::buf::Chunks| {
                <$layout as crate::wire::field::Wire>::write(&$value.$field, out, $version);
            };
            $tags.push(($number, crate::wire::buf::Chunks::field(write)));
        }
    };
    (@write_tag $value:ident $tags:ident $version:ident $field:tt, $layout:ty, $when:tt) => {};
}

pub(super) use api;
pub(super) use field;
pub(super) use messages;
