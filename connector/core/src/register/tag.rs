//! The key of the register, and what it makes of numbers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::Subject;
use crate::number::E164;
use crate::sampling::hmac_sha256;

/// The key under which numbers are kept: 32 random bytes of the installation. Does not print itself.
#[derive(Clone)]
pub struct RegisterKey([u8; 32]);

/// A number as the register has it: HMAC-SHA256 of its E.164 form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumberTag(pub [u8; 32]);

/// An entry by what it says: the same consent of the same number, entered twice, is one entry. The first 16 bytes of an
/// HMAC under the register's key, so that nothing can be told from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub [u8; 16]);

impl RegisterKey {
    /// The key of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Which key this is, 16 hexadecimal digits; tells nothing about it.
    pub fn id(&self) -> String {
        let digest = Sha256::new().chain_update(b"temoin register key").chain_update(self.0).finalize();
        hex(&digest[..8])
    }

    /// What the register keeps of a number.
    pub fn tag(&self, number: &E164) -> NumberTag {
        NumberTag(hmac_sha256(&self.0, &[b"number\n", number.as_str().as_bytes()]))
    }

    /// The id of what is entered of a number.
    pub(super) fn entry(&self, number: &E164, subject: &Subject, dates: &str) -> EntryId {
        let said = subject.canonical();
        let mac = hmac_sha256(
            &self.0,
            &[b"entry\n", number.as_str().as_bytes(), b"\n", said.as_bytes(), dates.as_bytes()],
        );
        let mut id = [0; 16];
        id.copy_from_slice(&mac[..16]);
        EntryId(id)
    }
}

impl fmt::Debug for RegisterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegisterKey({})", self.id())
    }
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Some(bytes)
}

macro_rules! as_hex {
    ($($name:ident)+) => {$(
        impl $name {
            /// Reads the hexadecimal form.
            pub fn parse(text: &str) -> Option<Self> {
                unhex(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not the hexadecimal digits of an id"))
            }
        }
    )+};
}

as_hex!(NumberTag EntryId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_tag_under_a_key_and_another_under_another() {
        let number = E164::parse("+33199001234").unwrap();
        let (one, other) = (RegisterKey::new([1; 32]), RegisterKey::new([2; 32]));
        assert_eq!(one.tag(&number), one.tag(&E164::parse("+33199001234").unwrap()));
        assert_ne!(one.tag(&number), one.tag(&E164::parse("+33199001235").unwrap()));
        assert_ne!(one.tag(&number), other.tag(&number));
        assert_ne!(one.id(), other.id());
        assert!(!format!("{one:?} {number:?}").contains("1234"), "neither prints itself");
    }

    #[test]
    fn hexadecimal_goes_there_and_back_and_nothing_else_does() {
        let id = EntryId([0xab; 16]);
        assert_eq!(EntryId::parse(&id.to_string()), Some(id));
        assert_eq!(serde_json::from_str::<EntryId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        for bad in ["", "ab", "é".repeat(16).as_str(), "+b".repeat(16).as_str(), "ab".repeat(17).as_str()] {
            assert_eq!(EntryId::parse(bad), None, "{bad:?}");
        }
    }
}
