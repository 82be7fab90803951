//! The schemas of texts that have no type of their own. They match what the parsers accept.

/// A MatchingID.
pub(super) struct MatchingIdText;

/// Octets.
pub(super) struct Base64Text;

rsp::text_schemas! {
    MatchingIdText: pattern = "^[ -~]*$";
    Base64Text: contentEncoding = "base64";
}
