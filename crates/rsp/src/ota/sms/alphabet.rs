//! The GSM 7-bit default alphabet with its extension table: TS 23.038 section 6.2.1.

/// The characters of the default alphabet. Position 1B is the escape to the extension table.
const DEFAULT: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1B}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

const ESCAPE: u8 = 0x1B;

/// The characters after an escape.
const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{0C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// Encodes text, one septet in each octet. Returns `None` if the alphabet lacks a character.
pub fn to_septets(text: &str) -> Option<Vec<u8>> {
    let mut septets = Vec::with_capacity(text.len());
    for character in text.chars() {
        let place = DEFAULT.chars().position(|known| known == character && character != '\u{1B}');
        if let Some(place) = place {
            septets.push(u8::try_from(place).ok()?);
        } else {
            let (septet, _) = EXTENSION.iter().find(|(_, known)| *known == character)?;
            septets.extend([ESCAPE, *septet]);
        }
    }
    Some(septets)
}

/// Decodes septets, one in each octet. An unknown extension is shown as the character of the
/// default alphabet, as TS 23.038 section 6.2.1.1 requires.
pub fn from_septets(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut is_escaped = false;
    for septet in septets {
        let extension = EXTENSION.iter().find(|(known, _)| is_escaped && known == septet);
        match extension {
            Some((_, character)) => text.push(*character),
            None if *septet == ESCAPE && !is_escaped => {
                is_escaped = true;
                continue;
            }
            // An escape after an escape is displayed as a space.
            None if *septet == ESCAPE => text.push(' '),
            None => text.extend(DEFAULT.chars().nth(usize::from(*septet & 0x7F))),
        }
        is_escaped = false;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_has_128_characters_that_round_trip() {
        assert_eq!(DEFAULT.chars().count(), 128);
        let all: String = DEFAULT.chars().filter(|c| *c != '\u{1B}').collect();
        assert_eq!(from_septets(&to_septets(&all).unwrap()), all);
        assert_eq!(to_septets("@$_Aa€").unwrap(), [0x00, 0x02, 0x11, 0x41, 0x61, 0x1B, 0x65]);
        assert_eq!(from_septets(&to_septets("^{}\\[~]|€\u{0C}").unwrap()), "^{}\\[~]|€\u{0C}");
    }

    #[test]
    fn a_character_outside_the_alphabet_is_not_encoded() {
        for text in ["č", "日本", "\u{1B}"] {
            assert_eq!(to_septets(text), None, "{text:?}");
        }
        assert_eq!(from_septets(&[0x1B, 0x41, 0x1B, 0x1B, 0x1B]), "A ");
    }
}
