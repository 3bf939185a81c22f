//! Lists behind one pointer.

use std::ops::Deref;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::field::Read;
use super::field::Write;
use super::field::write_array;

/// A list that takes the memory of one pointer while it is empty.
///
/// A topic or a quota may take three bytes on the wire. Here it takes at most eight times that, which leaves no place for a length.
#[derive(Clone, Debug, PartialEq)]
pub struct ThinList<T>(Option<Box<Box<[T]>>>);

impl<T> Default for ThinList<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Deref for ThinList<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.0.as_deref().map_or(&[], |elements| elements)
    }
}

impl<T> From<Vec<T>> for ThinList<T> {
    fn from(elements: Vec<T>) -> Self {
        Self((!elements.is_empty()).then(|| Box::new(elements.into())))
    }
}

impl<T> FromIterator<T> for ThinList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Vec::from_iter(elements).into()
    }
}

impl<T> IntoIterator for ThinList<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map_or_else(Vec::new, |elements| elements.into_vec()).into_iter()
    }
}

impl<E: Read<Value = E>> Read for ThinList<E> {
    type Value = Self;

    const FEWEST: [usize; 2] = [4, 1];
    const BOUNDED: bool = <Vec<E>>::BOUNDED;

    fn read(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        E::read_array(reader, version).map(Self::from)
    }

    fn skip(reader: &mut Reader, version: i16) -> Result<(), DecodeError> {
        <Vec<E>>::skip(reader, version)
    }
}

impl<E: Write<Value = E>> Write for ThinList<E> {
    type Value = Self;

    const EXACT: bool = E::EXACT;

    fn write(list: &Self, out: &mut Chunks, version: i16) {
        write_array::<E>(list, out, version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_list_takes_one_pointer() {
        assert_eq!(size_of::<ThinList<[u64; 4]>>(), size_of::<usize>());
        assert_eq!((ThinList::<i32>::default().len(), &*ThinList::from(vec![1, 2])), (0, &[1, 2][..]));
        assert_eq!(ThinList::from(Vec::<i32>::new()), ThinList::default());
        assert_eq!(ThinList::from(vec![1, 2]).into_iter().sum::<i32>(), 3);
    }
}
