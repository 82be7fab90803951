//! Card conversations.
