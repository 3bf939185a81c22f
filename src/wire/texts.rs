//! Several strings in one allocation.

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::field::Read;
use super::field::Write;

/// Strings, or nulls, in one allocation.
///
/// A string of an array may take one byte on the wire. Here it takes as much as there: its length and its bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts(Box<[u8]>);

impl Texts {
    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || (!rest.is_empty()).then(|| take(&mut rest)))
    }

    /// The one at this index; `None` where it is null, or there are fewer.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.iter().nth(index).flatten()
    }

    /// The one at this index, empty where it is null.
    pub fn text(&self, index: usize) -> &str {
        self.get(index).unwrap_or_default()
    }
}

impl<'a> FromIterator<Option<&'a str>> for Texts {
    fn from_iter<I: IntoIterator<Item = Option<&'a str>>>(texts: I) -> Self {
        let mut bytes = Vec::new();
        texts.into_iter().for_each(|text| push(&mut bytes, text));
        Self(bytes.into())
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        texts.into_iter().map(Some).collect()
    }
}

/// Appends the length plus one, zero for null, as a number of variable length, and the bytes.
fn push(bytes: &mut Vec<u8>, text: Option<&str>) {
    let mut length = text.map_or(0, |text| text.len() + 1);
    while length >= 0x80 {
        bytes.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).expect("seven bits"));
    bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (mut length, mut shift) = (0_usize, 0);
    while let Some((byte, tail)) = rest.split_first() {
        *rest = tail;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (text, tail) = rest.split_at(length.checked_sub(1)?);
    *rest = tail;
    Some(std::str::from_utf8(text).expect("made of a str"))
}

/// An array of strings that are not null.
impl Read for Texts {
    type Value = Self;

    const FEWEST: [usize; 2] = [4, 1];

    fn read(reader: &mut Reader, _: i16) -> Result<Self, DecodeError> {
        let mut bytes = Vec::new();
        reader.skip_array(String::MIN, |reader| {
            push(&mut bytes, Some(&reader.str()?));
            Ok(())
        })?;
        Ok(Self(bytes.into()))
    }
}

impl Write for Texts {
    type Value = Self;

    fn write(texts: &Self, out: &mut Chunks, _: i16) {
        let texts: Vec<&str> = texts.iter().map(Option::unwrap_or_default).collect();
        out.put_array(&texts, |out, text| out.put_string(text));
    }
}

/// An array of pairs of strings, in which the second may be null: both of each pair, one after the other.
#[derive(Debug)]
pub(super) struct Pairs;

impl Read for Pairs {
    type Value = Texts;

    const FEWEST: [usize; 2] = [4, 1];

    fn read(reader: &mut Reader, _: i16) -> Result<Texts, DecodeError> {
        let mut bytes = Vec::new();
        reader.skip_array(2 * String::MIN, |reader| {
            push(&mut bytes, Some(&reader.str()?));
            push(&mut bytes, reader.nullable_str()?.as_deref());
            reader.skip_tags()
        })?;
        Ok(Texts(bytes.into()))
    }
}

impl Write for Pairs {
    type Value = Texts;

    fn write(texts: &Texts, out: &mut Chunks, _: i16) {
        let texts: Vec<Option<&str>> = texts.iter().collect();
        let pairs: Vec<&[Option<&str>]> = texts.chunks(2).collect();
        out.put_array(&pairs, |out, pair| {
            out.put_string(pair[0].unwrap_or_default());
            out.put_nullable_string(pair.get(1).copied().flatten());
            out.put_no_tags();
        });
    }
}

/// As many strings one after the other. Those whose bit is set in `NULLABLE` may be null.
#[derive(Debug)]
pub(super) struct Strings<const COUNT: usize, const NULLABLE: u8>;

impl<const COUNT: usize, const NULLABLE: u8> Read for Strings<COUNT, NULLABLE> {
    type Value = Texts;

    const FEWEST: [usize; 2] = [COUNT * String::FEWEST[0], COUNT * String::FEWEST[1]];

    fn read(reader: &mut Reader, _: i16) -> Result<Texts, DecodeError> {
        let mut bytes = Vec::new();
        for index in 0..COUNT {
            let text = reader.nullable_str()?;
            if text.is_none() && NULLABLE >> index & 1 == 0 {
                return Err(DecodeError::Negative(-1));
            }
            push(&mut bytes, text.as_deref());
        }
        Ok(Texts(bytes.into()))
    }
}

impl<const COUNT: usize, const NULLABLE: u8> Write for Strings<COUNT, NULLABLE> {
    type Value = Texts;

    fn write(texts: &Texts, out: &mut Chunks, _: i16) {
        for index in 0..COUNT {
            let text = texts.get(index).or(if NULLABLE >> index & 1 == 0 { Some("") } else { None });
            out.put_nullable_string(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_order_nulls_and_lengths() {
        let long = "ß".repeat(20_000);
        for length in [0, 1, 126, 127, 128, 16_382, 16_383, 16_384, 40_000] {
            let kept = [Some(""), None, Some(&long[..length & !1]), Some("a")];
            let texts: Texts = kept.into_iter().collect();
            assert_eq!(texts.iter().collect::<Vec<_>>(), kept);
            assert_eq!((texts.get(1), texts.text(1), texts.get(3), texts.get(4)), (None, "", Some("a"), None));
        }
        assert_eq!(Texts::default().iter().count(), 0);
    }
}
