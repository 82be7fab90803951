//! Parsers of secrets whose error messages do not repeat the input.

use std::ffi::OsStr;

use clap::{Arg, Command, builder::TypedValueParser, error::ErrorKind};

/// Parser of an option value. Unlike those of clap, it does not repeat the value in its error
/// message.
#[derive(Clone)]
pub(crate) struct HiddenValue<F>(pub(crate) F);

impl<F, T> TypedValueParser for HiddenValue<F>
where
    F: Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let read = match value.to_str() {
            Some(text) => (self.0)(text),
            None => Err("not UTF-8".to_owned()),
        };
        read.map_err(|why| {
            let option = arg.map(|arg| format!(" for '{arg}'")).unwrap_or_default();
            command.clone().error(ErrorKind::ValueValidation, format!("invalid value{option}: {why}"))
        })
    }
}

/// Returns the line number and the problem of an invalid TOML file with secrets, without the
/// contents of the line.
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
    fn the_error_does_not_contain_the_value() {
        let never = HiddenValue(|_: &str| Err::<(), _>("it is too short".to_owned()));
        let command = Command::new("it").arg(Arg::new("key").long("key").value_parser(never));
        let refusal = command.try_get_matches_from(["it", "--key", "hush"]).unwrap_err().to_string();
        assert!(refusal.contains("--key") && refusal.contains("it is too short"), "{refusal}");
        assert!(!refusal.contains("hush"), "{refusal}");
    }

    #[test]
    fn the_error_contains_the_line_number_but_not_the_line() {
        let text = "a = 1\nkey = \"hush\"\n";
        let error = toml::from_str::<std::collections::BTreeMap<String, u8>>(text).unwrap_err();
        let message = toml_error(text, &error);
        assert!(message.starts_with("line 2: "), "{message}");
    }
}
