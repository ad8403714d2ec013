//! GPT-2's table: each byte is written as one printable character, so that
//! tokens of a byte-level vocabulary are text.

/// Bytes that stand for themselves; the others take the characters from U+0100 on.
const fn is_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// Bytes that take the characters from U+0100 on, in order.
const SHIFTED: [u8; 68] = {
    let mut shifted = [0; 68];
    let (mut byte, mut count) = (0, 0);
    while byte < 256 {
        if !is_itself(byte as u8) {
            shifted[count] = byte as u8;
            count += 1;
        }
        byte += 1;
    }
    shifted
};

/// The table: the character of each byte.
const CHARS: [char; 256] = {
    let mut chars = ['\0'; 256];
    let mut byte = 0;
    while byte < 256 {
        chars[byte] = byte as u8 as char;
        byte += 1;
    }
    let mut at = 0;
    while at < SHIFTED.len() {
        if let Some(c) = char::from_u32(0x100 + at as u32) {
            chars[SHIFTED[at] as usize] = c;
        }
        at += 1;
    }
    chars
};

/// The character that stands for `byte`.
pub(crate) fn to_char(byte: u8) -> char {
    CHARS[usize::from(byte)]
}

/// The byte that `c` stands for, if it is in the table.
pub(crate) fn from_char(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ 0..0x100 => u8::try_from(code).ok().filter(|byte| is_itself(*byte)),
        code => SHIFTED.get(code as usize - 0x100).copied(),
    }
}

/// `text` with each of its UTF-8 bytes as its character.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().map(to_char).collect()
}

/// The bytes of a token's text. A character outside the table is its UTF-8 bytes.
pub(crate) fn decode(token: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(token.len());
    for c in token.chars() {
        match from_char(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        for byte in 0..=255 {
            assert_eq!(from_char(to_char(byte)), Some(byte));
        }
        assert_eq!(to_char(b' '), 'Ġ');
        assert_eq!(to_char(b'\n'), 'Ċ');
        assert_eq!(to_char(0xAD), 'Ń');
        assert_eq!(from_char(' '), None);
        assert_eq!(from_char('\u{144}'), None);
        assert_eq!(decode("aĠ▁"), b"a \xE2\x96\x81");
    }
}
