//! Walks the fields of a protobuf message without knowing its type, so that what isn't understood can be kept as it is.
//!
//! The encoding is that of <https://protobuf.dev/programming-guides/encoding>: a key (number and kind) and a value, again
//! and again.

/// A message that ends in the middle, or in which a field has no kind that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
    /// The field as it stands in the message, with its key.
    pub(super) whole: &'a [u8],
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// An integer of any kind.
    Integer(u64),
    /// A string, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// A number of fixed size, which nothing here asks for.
    Fixed,
}

impl<'a> Field<'a> {
    /// Returns the bytes of a string or a message.
    pub(super) fn bytes(&self) -> Result<&'a [u8], Damaged> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Integer(_) | Value::Fixed => Err(Damaged),
        }
    }

    /// Returns a string.
    pub(super) fn text(&self) -> Result<&'a str, Damaged> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damaged)
    }

    /// Returns an integer.
    pub(super) fn integer(&self) -> Result<u64, Damaged> {
        match self.value {
            Value::Integer(number) => Ok(number),
            Value::Bytes(_) | Value::Fixed => Err(Damaged),
        }
    }
}

/// The fields of a message, in order; ends after the first that is damaged.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// Returns the fields of a message.
pub(super) const fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = take_field(&mut self.rest).ok_or(Damaged);
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let start = *rest;
    let key = take_integer(rest)?;
    let value = match key & 7 {
        0 => Value::Integer(take_integer(rest)?),
        1 => {
            take(rest, 8)?;
            Value::Fixed
        }
        2 => {
            let length = usize::try_from(take_integer(rest)?).ok()?;
            Value::Bytes(take(rest, length)?)
        }
        5 => {
            take(rest, 4)?;
            Value::Fixed
        }
        _ => return None,
    };
    Some(Field {
        number: key >> 3,
        value,
        whole: &start[..start.len() - rest.len()],
    })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// Seven bits in each byte, the lowest first; the eighth says that another byte follows.
pub(super) fn take_integer(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Writes a field of bytes.
pub(super) fn write_bytes(target: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    write_integer(target, number << 3 | 2);
    write_integer(target, bytes.len() as u64);
    target.extend_from_slice(bytes);
}

/// Writes a field of an integer.
pub(super) fn write_number(target: &mut Vec<u8>, number: u64, value: u64) {
    write_integer(target, number << 3);
    write_integer(target, value);
}

fn write_integer(target: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        target.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    target.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_kind_are_walked_and_kept_whole() {
        // 1: 300, 2: "hi", 3: eight bytes, 4: four bytes.
        let mut message = vec![0x08, 0xac, 0x02, 0x12, 2, b'h', b'i', 0x19];
        message.extend([0; 8]);
        message.push(0x25);
        message.extend([0; 4]);
        let found: Vec<_> = fields(&message).map(Result::unwrap).collect();
        let values: Vec<_> = found.iter().map(|field| (field.number, field.value)).collect();
        assert_eq!(
            values,
            [
                (1, Value::Integer(300)),
                (2, Value::Bytes(b"hi")),
                (3, Value::Fixed),
                (4, Value::Fixed)
            ]
        );
        let whole: Vec<_> = found.iter().map(|field| field.whole).collect();
        assert_eq!(whole.concat(), message);
    }

    #[test]
    fn what_is_written_reads_back() {
        let long = vec![7; 300];
        let mut message = Vec::new();
        write_bytes(&mut message, 25, &long);
        let field = fields(&message).next().unwrap().unwrap();
        assert_eq!((field.number, field.bytes()), (25, Ok(&long[..])));
    }

    #[test]
    fn a_message_that_ends_early_is_damaged_and_the_walk_ends() {
        let mut message = Vec::new();
        write_bytes(&mut message, 1, b"whole");
        for length in 1..message.len() {
            let mut walk = fields(&message[..length]);
            assert!(walk.next().unwrap().is_err());
            assert!(walk.next().is_none());
        }
        assert!(fields(&[0xff; 11]).next().unwrap().is_err());
        assert!(fields(&[0x0b]).next().unwrap().is_err());
    }
}
