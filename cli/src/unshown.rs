//! Secrets that are typed or read from files, and not shown again when they are not what they should be.

use std::ffi::OsStr;

use clap::{Arg, Command, builder::TypedValueParser, error::ErrorKind};

/// Reads the value of an option. Unlike clap's own parsers it does not repeat in its refusal what was typed.
#[derive(Clone)]
pub(crate) struct Unshown<F>(pub(crate) F);

impl<F, T> TypedValueParser for Unshown<F>
where
    F: Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let read = match value.to_str() {
            Some(text) => (self.0)(text),
            None => Err("it is not UTF-8".to_owned()),
        };
        read.map_err(|why| {
            let option = arg.map(|arg| format!(" for '{arg}'")).unwrap_or_default();
            command.clone().error(ErrorKind::ValueValidation, format!("invalid value{option}: {why}"))
        })
    }
}

/// Why a TOML file with secrets in it cannot be used: the line and what is wrong there, without the line itself.
pub(crate) fn toml_error(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("line {}: {}", before.lines().count().max(1), error.message()),
        None => error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_not_in_the_refusal() {
        let never = Unshown(|_: &str| Err::<(), _>("it is too short".to_owned()));
        let command = Command::new("it").arg(Arg::new("key").long("key").value_parser(never));
        let refusal = command.try_get_matches_from(["it", "--key", "hush"]).unwrap_err().to_string();
        assert!(refusal.contains("--key") && refusal.contains("it is too short"), "{refusal}");
        assert!(!refusal.contains("hush"), "{refusal}");
    }

    #[test]
    fn the_line_of_a_file_is_named_and_not_shown() {
        let text = "a = 1\nkey = \"hush\"\n";
        let error = toml::from_str::<std::collections::BTreeMap<String, u8>>(text).unwrap_err();
        let said = toml_error(text, &error);
        assert!(said.starts_with("line 2: "), "{said}");
    }
}
