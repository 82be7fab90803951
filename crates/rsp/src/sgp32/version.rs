//! The versions of SGP.32 that are sent.

use std::fmt;

use crate::ids;

/// A version of SGP.32. Messages of all versions are decoded; a party that sends uses one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// v1.0, which no certified eUICC has. Some eIMs still use it. Several messages have another
    /// encoding.
    V1_0,
    /// v1.2.
    #[default]
    V1_2,
    /// v1.3, which adds elements to v1.2.
    V1_3,
}

impl Version {
    /// The version in iotVersion of the eUICC (section 5.9.2).
    pub fn number(self) -> ids::Version {
        ids::Version(match self {
            Self::V1_0 => [1, 0, 0],
            Self::V1_2 => [1, 2, 0],
            Self::V1_3 => [1, 3, 0],
        })
    }

    /// Returns the version that a party with this version number understands.
    pub fn of_number(number: ids::Version) -> Self {
        match number.0 {
            [0, ..] | [1, 0, _] => Self::V1_0,
            [1, 1..=2, _] => Self::V1_2,
            _ => Self::V1_3,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, _] = self.number().0;
        write!(f, "{major}.{minor}")
    }
}
