//! Parameters in the query of a URL.

/// The value of the first parameter of that name, decoded.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| decode(value))
}

/// Replaces `%41` by `A`; what is no code stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        if let (b'%', Some(byte)) = (first, behind.first_chunk().and_then(code)) {
            bytes.push(byte);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The byte of two hexadecimal digits.
fn code(digits: &[u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? << 4 | low?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_and_decodes_a_parameter() {
        let query = "bytes=10&url=http%3A%2F%2Fhost%3a80/a?b=%zz%4&bytes=11";
        assert_eq!(parameter(query, "bytes").as_deref(), Some("10"));
        assert_eq!(parameter(query, "url").as_deref(), Some("http://host:80/a?b=%zz%4"));
        assert_eq!(parameter(query, "none"), None);
        assert_eq!(parameter("", "bytes"), None);
    }
}
