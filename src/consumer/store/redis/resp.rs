//! RESP2, the protocol of Redis: commands become bytes, and bytes become replies, in whatever pieces they arrive.
//!
//! The peer is not trusted. A reply has limits, which are checked against the numbers that it announces; memory is taken only for bytes
//! that have arrived. Arrays are kept on a list of their own, so that nesting costs no stack.

use std::fmt;

use bytes::Buf;
use bytes::BytesMut;

use super::refusal::Refusal;

/// A command: its name and its arguments.
pub struct Command(Vec<Vec<u8>>);

impl Command {
    pub fn new(name: &str) -> Self {
        Self(vec![name.into()])
    }

    pub fn arg(mut self, argument: impl Into<Vec<u8>>) -> Self {
        self.0.push(argument.into());
        self
    }

    /// Its name, then its arguments.
    pub fn words(&self) -> &[Vec<u8>] {
        &self.0
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("*{}\r\n", self.0.len()).as_bytes());
        for word in &self.0 {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// A reply, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Array(Vec<Self>),
    Error(Refusal),
    Int(i64),
    Nil,
    /// A simple string or a bulk string: no command needs to know which.
    Text(Vec<u8>),
}

#[cfg(any(test, feature = "unstable-internals"))]
impl Value {
    /// Writes it as Redis does. Some texts become simple strings, so that both forms occur.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Array(values) => {
                out.extend_from_slice(format!("*{}\r\n", values.len()).as_bytes());
                for value in values {
                    value.encode(out);
                }
            }
            Self::Error(refusal) => out.extend_from_slice(format!("-{}\r\n", refusal.text()).as_bytes()),
            Self::Int(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
            Self::Nil => out.extend_from_slice(b"$-1\r\n"),
            Self::Text(text) if text.len() % 2 == 1 && text.iter().all(u8::is_ascii_alphanumeric) => {
                out.extend_from_slice(&[b"+", &text[..], b"\r\n"].concat());
            }
            Self::Text(text) => {
                out.extend_from_slice(&[format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat());
            }
        }
    }
}

/// The most bytes of one reply. Offsets take about a hundred, and their metadata.
pub const REPLY_BYTES_MAX: usize = 64 << 20;
/// The most bytes of a line: a simple string, an error or a number.
const LINE_MAX: usize = 64 << 10;
/// The most values of one reply. A script returns seven.
const VALUES_MAX: usize = 1_024;
/// The most arrays within each other.
const DEPTH_MAX: usize = 8;

/// Reads replies.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The arrays that are not complete, the outermost one first.
    open: Vec<Open>,
    /// The length of a bulk string whose header was read.
    text: Option<usize>,
    /// How many bytes of the line that is not complete have been searched for its end.
    searched: usize,
    /// Bytes and values of this reply, those that are announced included.
    bytes: usize,
    values: usize,
}

/// An array that is not complete.
#[derive(Debug)]
struct Open {
    missing: usize,
    values: Vec<Value>,
}

impl Decoder {
    /// Takes the next reply from the front of the bytes that have arrived. `None` if it is not complete. After an error the bytes mean
    /// nothing any more.
    pub fn next(&mut self, arrived: &mut BytesMut) -> Result<Option<Value>, Malformed> {
        while let Some(value) = self.value(arrived)? {
            if let Some(reply) = self.place(value) {
                (self.bytes, self.values) = (0, 0);
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// Puts a value into the innermost array. Returns the reply if it is complete by that.
    fn place(&mut self, mut value: Value) -> Option<Value> {
        while let Some(mut open) = self.open.pop() {
            open.values.push(value);
            open.missing -= 1;
            if open.missing > 0 {
                self.open.push(open);
                return None;
            }
            value = Value::Array(open.values);
        }
        Some(value)
    }

    /// The next value that is no array, or is an empty one.
    fn value(&mut self, arrived: &mut BytesMut) -> Result<Option<Value>, Malformed> {
        loop {
            if let Some(length) = self.text {
                return self.bulk(length, arrived);
            }
            let Some(line) = self.line(arrived)? else { return Ok(None) };
            let (kind, rest) = line.split_first().expect("a line has its kind");
            match kind {
                b'+' => return Ok(Some(Value::Text(rest.to_vec()))),
                b'-' => return Ok(Some(Value::Error(Refusal::new(String::from_utf8_lossy(rest))))),
                b':' => return Ok(Some(Value::Int(number(rest)?))),
                b'$' => match length(rest)? {
                    None => return Ok(Some(Value::Nil)),
                    Some(length) => {
                        self.count_bytes(length)?;
                        self.text = Some(length);
                    }
                },
                _ => match length(rest)? {
                    None => return Ok(Some(Value::Nil)),
                    Some(0) => return Ok(Some(Value::Array(Vec::new()))),
                    Some(count) => self.begin(count)?,
                },
            }
        }
    }

    /// Begins an array.
    fn begin(&mut self, count: usize) -> Result<(), Malformed> {
        self.values = self.values.saturating_add(count);
        if self.values > VALUES_MAX {
            return Err(Malformed::Values(self.values));
        }
        if self.open.len() == DEPTH_MAX {
            return Err(Malformed::Depth);
        }
        self.open.push(Open { missing: count, values: Vec::new() });
        Ok(())
    }

    /// The bytes of a bulk string, once all of them have arrived.
    fn bulk(&mut self, length: usize, arrived: &mut BytesMut) -> Result<Option<Value>, Malformed> {
        let Some(end) = arrived.get(length..length + 2) else { return Ok(None) };
        if end != b"\r\n" {
            return Err(Malformed::End(length));
        }
        let text = arrived[..length].to_vec();
        arrived.advance(length + 2);
        self.text = None;
        Ok(Some(Value::Text(text)))
    }

    /// The next line, without its end. It has at least the byte that says what it is.
    fn line(&mut self, arrived: &mut BytesMut) -> Result<Option<BytesMut>, Malformed> {
        let Some(kind) = arrived.first() else { return Ok(None) };
        if !b"+-:$*".contains(kind) {
            return Err(Malformed::Kind(*kind));
        }
        let from = self.searched.saturating_sub(1);
        let end = arrived[from..].windows(2).position(|pair| pair == b"\r\n").map(|at| from + at);
        if end.unwrap_or(arrived.len()) > LINE_MAX {
            return Err(Malformed::Line);
        }
        let Some(end) = end else {
            self.searched = arrived.len();
            return Ok(None);
        };
        self.searched = 0;
        self.count_bytes(end)?;
        let line = arrived.split_to(end);
        arrived.advance(2);
        Ok(Some(line))
    }

    fn count_bytes(&mut self, count: usize) -> Result<(), Malformed> {
        self.bytes = self.bytes.saturating_add(count);
        if self.bytes > REPLY_BYTES_MAX { Err(Malformed::Bytes(self.bytes)) } else { Ok(()) }
    }
}

fn number(text: &[u8]) -> Result<i64, Malformed> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Malformed::Number)
}

/// The length of a bulk string or an array; `None` for the one that stands for nothing, −1.
fn length(text: &[u8]) -> Result<Option<usize>, Malformed> {
    match number(text)? {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| Malformed::Length(length)),
    }
}

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// So many bytes, with those that are announced.
    Bytes(usize),
    Depth,
    /// A bulk string of so many bytes goes on.
    End(usize),
    Kind(u8),
    Length(i64),
    Line,
    Number,
    /// So many values, with those that are announced.
    Values(usize),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(count) => {
                write!(f, "a reply of {count} bytes was announced, and {REPLY_BYTES_MAX} are the most")
            }
            Self::Depth => write!(f, "a reply has more than {DEPTH_MAX} arrays within each other"),
            Self::End(length) => write!(f, "a text was announced with {length} bytes, and goes on"),
            Self::Kind(byte) => write!(f, "a reply begins with the byte {byte:#04x}, which RESP2 does not know"),
            Self::Length(length) => write!(f, "a reply was announced with the length {length}"),
            Self::Line => write!(f, "a line of a reply has more than {LINE_MAX} bytes"),
            Self::Number => f.write_str("there is no number where a reply needs one"),
            Self::Values(count) => write!(f, "a reply of {count} values was announced, and {VALUES_MAX} are the most"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The replies in bytes that arrive in pieces, or the error after them.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Value>, Option<Malformed>) {
        let (mut decoder, mut arrived, mut replies) = (Decoder::default(), BytesMut::new(), Vec::new());
        for piece in pieces {
            arrived.extend_from_slice(piece);
            loop {
                match decoder.next(&mut arrived) {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(malformed) => return (replies, Some(malformed)),
                }
            }
        }
        (replies, None)
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::Int),
            Just(Value::Nil),
            "[A-Z]{1,8}( [ -~]{0,20})?".prop_map(|text| Value::Error(Refusal::new(text))),
            "[a-zA-Z0-9]{0,9}".prop_map(|text| Value::Text(text.into())),
            // The bytes that lines are made of.
            "[\r\n$*:+0-9-]{0,9}".prop_map(|text| Value::Text(text.into())),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| prop::collection::vec(inner, 0..5).prop_map(Value::Array))
    }

    proptest! {
        #[test]
        fn replies_are_the_same_in_whatever_pieces_they_arrive(replies in prop::collection::vec(values(), 1..4)) {
            let mut bytes = Vec::new();
            for reply in &replies {
                reply.encode(&mut bytes);
            }
            for cut in 0..=bytes.len() {
                let (before, after) = bytes.split_at(cut);
                prop_assert_eq!(&read([before, after]), &(replies.clone(), None), "cut at {}", cut);
            }
            prop_assert_eq!(&read(bytes.chunks(1)), &(replies.clone(), None));
        }

        #[test]
        fn damaged_replies_end_alike_in_whatever_pieces_they_arrive(
            reply in values(), at in any::<prop::sample::Index>(), byte in any::<u8>(), piece in 1_usize..9
        ) {
            let mut bytes = Vec::new();
            reply.encode(&mut bytes);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            prop_assert_eq!(read(bytes.chunks(piece)), read([&bytes[..]]));
        }
    }

    #[test]
    fn hostile_reply_is_refused_by_name() {
        let nested = "*1\r\n".repeat(100_000);
        let endless = format!("+{}", "a".repeat(LINE_MAX));
        let long = format!("+{}\r\n", "a".repeat(LINE_MAX));
        let many = "*200\r\n*200\r\n*200\r\n*200\r\n*200\r\n*200\r\n";
        let texts = format!("*2\r\n$40000000\r\n{}\r\n$40000000\r\n", " ".repeat(40_000_000));
        for (bytes, why) in [
            ("\u{15}\u{3}\u{3}", "the byte 0x15"),
            ("HTTP/1.1 400 Bad Request\r\n", "the byte 0x48"),
            ("%1\r\n", "the byte 0x25"),
            ("\r\n", "the byte 0x0d"),
            ("*2147483647\r\n", "2147483647 values was announced, and 1024 are the most"),
            ("*9223372036854775807\r\n", "9223372036854775807 values"),
            ("*9223372036854775808\r\n", "no number"),
            ("*1025\r\n", "1025 values"),
            (many, "1200 values"),
            (&nested, "more than 8 arrays within each other"),
            ("$67108865\r\n", "bytes was announced, and 67108864 are the most"),
            ("$9223372036854775807\r\n", "bytes was announced"),
            (&texts, "bytes was announced"),
            ("$-2\r\n", "the length -2"),
            ("*-9223372036854775808\r\n", "the length -9223372036854775808"),
            ("$\r\n", "no number"),
            (":1.5\r\n", "no number"),
            (":\u{665}\r\n", "no number"),
            ("$3\r\nfour\r\n", "with 3 bytes, and goes on"),
            ("$1\r\na\n\r", "with 1 bytes, and goes on"),
            (&endless, "more than 65536 bytes"),
            (&long, "more than 65536 bytes"),
        ] {
            let (replies, malformed) = read([bytes.as_bytes()]);
            let shown = malformed.map_or(String::new(), |malformed| malformed.to_string());
            assert!(replies.is_empty() && shown.contains(why), "{bytes:.20}: {shown}");
        }
    }

    #[test]
    fn limits_are_those_of_one_reply() {
        let nested = format!("{}:1\r\n", "*1\r\n".repeat(DEPTH_MAX));
        let many = format!("*{VALUES_MAX}\r\n{}", "$-1\r\n".repeat(VALUES_MAX));
        let line = format!("+{}\r\n", "a".repeat(LINE_MAX - 1));
        let large = format!("$30000000\r\n{}\r\n", " ".repeat(30_000_000));
        for (reply, count) in [(nested, 200), (many, 3), (line, 3), (large, 3)] {
            let (replies, malformed) = read(std::iter::repeat_n(reply.as_bytes(), count));
            assert_eq!((replies.len(), malformed), (count, None), "{reply:.20}");
        }
    }

    #[test]
    fn announced_number_takes_no_memory() {
        let (mut decoder, mut arrived) = (Decoder::default(), BytesMut::new());
        arrived.extend_from_slice(b"*1000\r\n$60000000\r\nabc");
        assert_eq!(decoder.next(&mut arrived), Ok(None));
        assert!(arrived.capacity() < 1_000, "{}", arrived.capacity());
        assert!(decoder.open.iter().all(|open| open.values.capacity() == 0), "{decoder:?}");
    }

    #[test]
    fn command_is_an_array_of_texts() {
        let mut bytes = Vec::new();
        Command::new("SET").arg("k\r\n").arg("").encode(&mut bytes);
        assert_eq!(bytes, b"*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n");
    }
}
