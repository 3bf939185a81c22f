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
//!
//! A client writes requests and reads responses. The other direction, a broker's, is compiled only for tests. What follows a message
//! has its direction; a struct before the first message has both.

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

            $(fn version_max(&self) -> i16 {
                if self.lacks_id() { $by_name } else { i16::MAX }
            })?

            fn put(&self, version: i16, out: &mut crate::wire::buf::Chunks) -> Result<(), crate::wire::DecodeError> {
                self.check(version)?;
                crate::wire::declare::api!(@put self version out $($encoder)?);
                Ok(())
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

        #[cfg(any(test, feature = "unstable-internals"))]
        impl crate::wire::call::Serve for $request {
            const EXACT: bool = <$response>::EXACT;

            fn decode_request(version: i16, body: bytes::Bytes) -> Option<Result<Self, crate::wire::DecodeError>> {
                crate::wire::declare::api!(@decode_request version body $($encoder)?)
            }

            fn encode_response(response: &$response, version: i16, out: &mut crate::wire::buf::Chunks) {
                response.encode(version, out);
            }
        }
    };
    (@read_only reads) => { true };
    (@read_only writes) => { false };

    (@put $request:ident $version:ident $out:ident hand) => {
        $out.set_flexible($version >= Self::FLEXIBLE_FROM);
        Self::put($request, $version, $out);
    };
    (@put $request:ident $version:ident $out:ident) => { $request.encode($version, $out); };

    (@decode_request $version:ident $body:ident hand) => {{
        let _ = ($version, $body);
        None
    }};
    (@decode_request $version:ident $body:ident) => { Some(Self::decode($version, $body)) };
}

/// Declares the messages of an API, and the structs within them.
///
/// Items have three lists of attributes, by their direction: of the impl that reads, of the one that writes, and of the struct. `@layout`
/// normalises the fields and separates the tagged ones. Its first argument is passed on: the request, the attributes of the impls,
/// whether there are tags, and the rest of the struct that is read.
macro_rules! messages {
    ($request:ident: $($rest:tt)*) => {
        crate::wire::declare::messages!(@item $request {[] [] [#[derive(Clone, Debug, Default, PartialEq)]]} $($rest)*);
    };

    (@item $request:ident $sides:tt) => {};
    (@item $request:ident $sides:tt $(#[$attr:meta])* request $name:ident { $($field:tt)* } $($rest:tt)*) => {
        crate::wire::declare::messages!(@message $request
            {[#[cfg(any(test, feature = "unstable-internals"))]] [] [#[derive(Clone, Debug, Default, PartialEq)]]}
            [$(#[$attr])*] $name { $($field)* } $($rest)*);
    };
    (@item $request:ident $sides:tt $(#[$attr:meta])* response $name:ident { $($field:tt)* } $($rest:tt)*) => {
        const _: () = assert!(<$name as crate::wire::field::Read>::BOUNDED, "an element takes too much memory");
        crate::wire::declare::messages!(@message $request
            {[] [#[cfg(any(test, feature = "unstable-internals"))]]
                [#[derive(Default)] #[cfg_attr(any(test, feature = "unstable-internals"), derive(Clone, Debug, PartialEq))]]}
            [$(#[$attr])*] $name { $($field)* } $($rest)*);
    };
    (@item $request:ident {$read:tt $write:tt [$($derive:tt)*]} $(#[$attr:meta])* struct $name:ident { $($field:tt)* }
        $($rest:tt)*) => {
        crate::wire::declare::messages!(@struct [$(#[$attr])* $($derive)*] $name {} $($field)*);
        crate::wire::declare::messages!(@layout {$request $read $write tags {}} $name $name {} {} {} $($field)*);
        crate::wire::declare::messages!(@item $request {$read $write [$($derive)*]} $($rest)*);
    };
    (@item $request:ident {$read:tt $write:tt $derive:tt} $(#[$attr:meta])* layout $name:ident for $type:ident { $($field:tt)* }
        $($rest:tt)*) => {
        $(#[$attr])*
        #[derive(Debug)]
        pub struct $name;
        crate::wire::declare::messages!(@layout {$request $read $write tags {..Default::default()}}
            $name $type {} {} {} $($field)*);
        crate::wire::declare::messages!(@item $request {$read $write $derive} $($rest)*);
    };
    (@item $request:ident {$read:tt $write:tt $derive:tt} $(#[$attr:meta])* part $name:ident for $type:ident { $($field:tt)* }
        $($rest:tt)*) => {
        $(#[$attr])*
        #[derive(Debug)]
        pub struct $name;
        crate::wire::declare::messages!(@layout {$request $read $write no_tags {..Default::default()}}
            $name $type {} {} {} $($field)*);
        crate::wire::declare::messages!(@item $request {$read $write $derive} $($rest)*);
    };

    // A request or a response: a struct with a body of its own.
    (@message $request:ident {[$($read:tt)*] [$($write:tt)*] $derive:tt} [$($attr:tt)*] $name:ident $fields:tt $($rest:tt)*) => {
        impl $name {
            /// Whether it keeps every field, so that it encodes to the bytes it was decoded from.
            $($write)*
            pub const EXACT: bool = <Self as crate::wire::field::Write>::EXACT;

            $($write)*
            pub fn encode(&self, version: i16, out: &mut crate::wire::buf::Chunks) {
                out.set_flexible(version >= <$request as crate::wire::Call>::FLEXIBLE_FROM);
                <Self as crate::wire::field::Write>::write(self, out, version);
            }

            $($read)*
            pub fn decode(version: i16, body: bytes::Bytes) -> Result<Self, crate::wire::DecodeError> {
                let flexible = version >= <$request as crate::wire::Call>::FLEXIBLE_FROM;
                let mut reader = crate::wire::buf::Reader::new(body, flexible);
                <Self as crate::wire::field::Read>::read(&mut reader, version)
            }
        }

        crate::wire::declare::messages!(@item $request {[$($read)*] [$($write)*] $derive}
            $($attr)* struct $name $fields $($rest)*);
    };

    // The struct: every field that is not skipped.
    (@struct [$($attr:tt)*] $name:ident { $($kept:tt)* }) => {
        $($attr)*
        pub struct $name { $($kept)* }
    };
    (@struct $attrs:tt $name:ident $kept:tt
        $(#[$attr:meta])* _: $type:ty $(as $layout:ty)? $([$($when:tt)*])? $(= $default:expr)?, $($rest:tt)*) => {
        crate::wire::declare::messages!(@struct $attrs $name $kept $($rest)*);
    };
    (@struct $attrs:tt $name:ident { $($kept:tt)* }
        $(#[$attr:meta])* $field:ident: $type:ty $(as $layout:ty)? $([$($when:tt)*])? $(= $default:expr)?, $($rest:tt)*) => {
        crate::wire::declare::messages!(@struct $attrs $name { $($kept)* $(#[$attr])* pub $field: $type, } $($rest)*);
    };

    // The encoding: fields are normalised, then encoded in order.
    (@layout $how:tt $name:ident $type:ident { $($kept:ident)* } $fields:tt { $($tagged:tt)* }
        $(#[$attr:meta])* _: $layout:ty [tag $tag:literal], $($rest:tt)*) => {
        crate::wire::declare::messages!(@layout $how $name $type { $($kept)* } $fields
            { $($tagged)* [_, $layout, $tag, ()] } $($rest)*);
    };
    (@layout $how:tt $name:ident $type:ident { $($kept:ident)* } $fields:tt { $($tagged:tt)* }
        $(#[$attr:meta])* $field:ident: $layout:ty [tag $tag:literal] $(= $default:expr)?, $($rest:tt)*) => {
        crate::wire::declare::messages!(@layout $how $name $type { $($kept)* $field } $fields
            { $($tagged)* [$field, $layout, $tag, ($($default)?)] } $($rest)*);
    };
    (@layout $how:tt $name:ident $type:ident { $($kept:ident)* } { $($fields:tt)* } $tagged:tt
        $(#[$attr:meta])* _: $layout:ty $([$($when:tt)*])?, $($rest:tt)*) => {
        crate::wire::declare::messages!(@layout $how $name $type { $($kept)* }
            { $($fields)* [_, $layout, ($($($when)*)?), ()] } $tagged $($rest)*);
    };
    (@layout $how:tt $name:ident $type:ident { $($kept:ident)* } { $($fields:tt)* } $tagged:tt
        $(#[$attr:meta])* $field:ident: $own:ty as $layout:ty $([$($when:tt)*])? $(= $default:expr)?, $($rest:tt)*) => {
        crate::wire::declare::messages!(@layout $how $name $type { $($kept)* $field }
            { $($fields)* [$field, $layout, ($($($when)*)?), ($($default)?)] } $tagged $($rest)*);
    };
    (@layout $how:tt $name:ident $type:ident { $($kept:ident)* } { $($fields:tt)* } $tagged:tt
        $(#[$attr:meta])* $field:ident: $own:ty $([$($when:tt)*])? $(= $default:expr)?, $($rest:tt)*) => {
        crate::wire::declare::messages!(@layout $how $name $type { $($kept)* $field }
            { $($fields)* [$field, $own, ($($($when)*)?), ($($default)?)] } $tagged $($rest)*);
    };
    (@layout {$request:ident [$($read:tt)*] [$($write:tt)*] $tags:ident {$($others:tt)*}} $name:ident $type:ident
        { $($kept:ident)* } { $([$field:tt, $layout:ty, $when:tt, $default:tt])* }
        { $([$tagged:tt, $tagged_layout:ty, $tag:literal, $tagged_default:tt])* }) => {
        $($read)*
        impl crate::wire::field::Read for $name {
            type Value = $type;

            const FEWEST: [usize; 2] = {
                let (mut version, last) = <$request as crate::wire::Call>::VERSIONS;
                let mut fewest = [usize::MAX; 2];
                while version <= last {
                    let form = (version >= <$request as crate::wire::Call>::FLEXIBLE_FROM) as usize;
                    let bytes = crate::wire::declare::field!(@tags_len $tags form)
                        $(.saturating_add(crate::wire::declare::field!(@len version form $layout, $when)))*;
                    if bytes < fewest[form] {
                        fewest[form] = bytes;
                    }
                    version += 1;
                }
                fewest
            };
            const BOUNDED: bool = true $(&& <$layout as crate::wire::field::Read>::BOUNDED)*
                $(&& <$tagged_layout as crate::wire::field::Read>::BOUNDED)*;

            fn read(reader: &mut crate::wire::buf::Reader, version: i16) -> Result<$type, crate::wire::DecodeError> {
                $(crate::wire::declare::field!(@read reader version $field, $layout, $when, $default);)*
                crate::wire::declare::field!(@read_tags $tags reader version
                    $([$tagged, $tagged_layout, $tag, $tagged_default])*);
                #[allow(clippy::needless_update, reason = "some layouts have every field")]
                Ok($type { $($kept,)* $($others)* })
            }
        }

        $($write)*
        impl crate::wire::field::Write for $name {
            type Value = $type;

            const EXACT: bool = true $(&& crate::wire::declare::field!(@exact $field $layout))*
                $(&& crate::wire::declare::field!(@exact $tagged $tagged_layout))*;

            #[allow(unused_variables, reason = "some structs keep no field")]
            fn write(value: &$type, out: &mut crate::wire::buf::Chunks, version: i16) {
                $(crate::wire::declare::field!(@write value out version $field, $layout, $when);)*
                crate::wire::declare::field!(@write_tags $tags value out version $([$tagged, $tagged_layout, $tag])*);
            }
        }
    };
}

/// One field of a layout: `()` is in every version, `(7..)` is in these versions. Tagged fields come together.
macro_rules! field {
    (@len $version:ident $form:ident $layout:ty, ()) => { <$layout as crate::wire::field::Read>::FEWEST[$form] };
    (@len $version:ident $form:ident $layout:ty, ($($versions:tt)*)) => {
        if matches!($version, $($versions)*) { <$layout as crate::wire::field::Read>::FEWEST[$form] } else { 0 }
    };
    (@exact _ $layout:ty) => { false };
    (@exact $field:ident $layout:ty) => { <$layout as crate::wire::field::Write>::EXACT };

    // Flexible versions end a struct with the number of its tagged fields.
    (@tags_len tags $form:ident) => { $form };
    (@tags_len no_tags $form:ident) => { 0_usize };

    (@default ()) => { Default::default() };
    (@default ($default:expr)) => { $default };

    (@read $reader:ident $version:ident _, $layout:ty, (), $default:tt) => {
        <$layout as crate::wire::field::Read>::skip($reader, $version)?;
    };
    (@read $reader:ident $version:ident _, $layout:ty, ($($versions:tt)*), $default:tt) => {
        if matches!($version, $($versions)*) {
            <$layout as crate::wire::field::Read>::skip($reader, $version)?;
        }
    };
    (@read $reader:ident $version:ident $field:ident, $layout:ty, (), $default:tt) => {
        let $field = <$layout as crate::wire::field::Read>::read($reader, $version)?;
    };
    (@read $reader:ident $version:ident $field:ident, $layout:ty, ($($versions:tt)*), $default:tt) => {
        let $field = if matches!($version, $($versions)*) {
            <$layout as crate::wire::field::Read>::read($reader, $version)?
        } else {
            crate::wire::declare::field!(@default $default)
        };
    };

    (@read_tags no_tags $reader:ident $version:ident) => {};
    (@read_tags tags $reader:ident $version:ident) => { $reader.skip_tags()? };
    (@read_tags tags $reader:ident $version:ident $([$field:tt, $layout:ty, $tag:literal, $default:tt])+) => {
        $(crate::wire::declare::field!(@absent $field, $default);)+
        $reader.tags(|tag, field| {
            match tag {
                $($tag => crate::wire::declare::field!(@read_tag field $version $field, $layout),)+
                _ => {}
            }
            Ok(())
        })?
    };
    (@absent _, $default:tt) => {};
    (@absent $field:ident, $default:tt) => { let mut $field = crate::wire::declare::field!(@default $default); };
    (@read_tag $reader:ident $version:ident _, $layout:ty) => {
        <$layout as crate::wire::field::Read>::skip($reader, $version)?
    };
    (@read_tag $reader:ident $version:ident $field:ident, $layout:ty) => {
        $field = <$layout as crate::wire::field::Read>::read($reader, $version)?
    };

    (@write $value:ident $out:ident $version:ident _, $layout:ty, ()) => {
        <$layout as crate::wire::field::Write>::write(&Default::default(), $out, $version);
    };
    (@write $value:ident $out:ident $version:ident _, $layout:ty, ($($versions:tt)*)) => {
        if matches!($version, $($versions)*) {
            <$layout as crate::wire::field::Write>::write(&Default::default(), $out, $version);
        }
    };
    (@write $value:ident $out:ident $version:ident $field:ident, $layout:ty, ()) => {
        <$layout as crate::wire::field::Write>::write(&$value.$field, $out, $version);
    };
    (@write $value:ident $out:ident $version:ident $field:ident, $layout:ty, ($($versions:tt)*)) => {
        if matches!($version, $($versions)*) {
            <$layout as crate::wire::field::Write>::write(&$value.$field, $out, $version);
        }
    };

    (@write_tags no_tags $value:ident $out:ident $version:ident) => {};
    (@write_tags tags $value:ident $out:ident $version:ident) => { $out.put_no_tags() };
    (@write_tags tags $value:ident $out:ident $version:ident $([$field:tt, $layout:ty, $tag:literal])+) => {
        #[allow(unused_mut, reason = "a skipped field is not written")]
        let mut tags = Vec::new();
        $(crate::wire::declare::field!(@write_tag $value tags $version $field, $layout, $tag);)+
        $out.put_tags(&tags)
    };
    // A tagged field that has its default is not written.
    (@write_tag $value:ident $tags:ident $version:ident _, $layout:ty, $tag:literal) => {};
    (@write_tag $value:ident $tags:ident $version:ident $field:ident, $layout:ty, $tag:literal) => {
        if $value.$field != <<$layout as crate::wire::field::Write>::Value as Default>::default() {
            let write = |out: &mut crate::wire::buf::Chunks| {
                <$layout as crate::wire::field::Write>::write(&$value.$field, out, $version);
            };
            $tags.push(($tag, crate::wire::buf::Chunks::field(write)));
        }
    };
}

pub(super) use api;
pub(super) use field;
pub(super) use messages;
