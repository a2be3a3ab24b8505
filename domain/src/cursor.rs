//! Places in lists as clients are told them: opaque texts, one for each place.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A position as it is told.
#[must_use]
pub fn cursor(position: i64) -> String {
    URL_SAFE_NO_PAD.encode(position.to_be_bytes())
}

/// The position that [`cursor`] told; `None` for any other text.
#[must_use]
pub fn position(cursor: &str) -> Option<i64> {
    Some(i64::from_be_bytes(URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_position() {
        for place in [0, 1, -1, 184_467, i64::MIN, i64::MAX] {
            assert_eq!(position(&cursor(place)), Some(place));
        }
    }

    #[test]
    fn any_other_text_is_no_cursor() {
        // The last one differs from the cursor of 0 in bits that no byte holds.
        for text in ["", "0", "AAAAAAAAAA", "AAAAAAAAAAA=", "AAAAAAAAAA+", "AAAAAAAAAAAA", "AAAAAAAAAAB"] {
            assert_eq!(position(text), None, "{text}");
        }
    }
}
